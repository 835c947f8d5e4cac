"""What the credentials may do, as IAM reckons it without doing anything.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from taskflow.brokers.aws.client import Api
from taskflow.brokers.aws.directory import Directory

_SESSION = re.compile(r"arn:([^:]+):sts::(\d+):assumed-role/([^/]+)/.*")
_MOST = 25  # resources of one request


class CallerRights:
    """As `taskflow.broker.rights`. An endpoint that is not AWS's own knows no such policies, and
    the root user may do everything: nothing is denied there."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._api: Api = directory.api

    def account(self) -> str:
        """The account of topics and queues."""
        return self._directory.account

    def denied(self, wanted: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
        """What is not allowed, by resource."""
        if self._api.endpoint is not None:
            return {}
        caller = str(self._api.call("sts", "get_caller_identity")["Arn"])
        if caller.endswith(":root"):
            return {}
        if session := _SESSION.fullmatch(caller):
            caller = f"arn:{session[1]}:iam::{session[2]}:role/{session[3]}"
        by_actions: dict[tuple[str, ...], list[str]] = {}
        for resource, actions in wanted.items():
            by_actions.setdefault(tuple(sorted(actions)), []).append(resource)
        found: dict[str, set[str]] = {}
        for names, resources in by_actions.items():
            for at in range(0, len(resources), _MOST):
                for one in self._simulate(caller, names, resources[at : at + _MOST]):
                    if one["EvalDecision"] != "allowed":
                        found.setdefault(one["EvalResourceName"], set()).add(one["EvalActionName"])
        return {resource: sorted(found[resource]) for resource in wanted if resource in found}

    def _simulate(
        self, caller: str, actions: Collection[str], resources: Collection[str]
    ) -> list[dict[str, Any]]:
        params: dict[str, Any] = {
            "PolicySourceArn": caller,
            "ActionNames": list(actions),
            "ResourceArns": list(resources),
        }
        found: list[dict[str, Any]] = []
        while True:
            answer = self._api.call("iam", "simulate_principal_policy", caller, **params)
            for one in answer["EvaluationResults"]:
                specific = one.get("ResourceSpecificResults") or ()
                found += [
                    {
                        "EvalActionName": one["EvalActionName"],
                        "EvalResourceName": part["EvalResourceName"],
                        "EvalDecision": part["EvalResourceDecision"],
                    }
                    for part in specific
                ] or [one]
            if not answer.get("IsTruncated"):
                return found
            params["Marker"] = answer["Marker"]
