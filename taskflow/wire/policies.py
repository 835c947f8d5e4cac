"""The access policies of queues and topics: IAM JSON, decided the way SQS and SNS decide it.

An explicit deny wins, an allow comes next, and silence is "none". What cannot be evaluated here
(an operator or a condition key nobody knows) never allows, and always denies in a Deny statement.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-using-identity-based-policies.html
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

from taskflow.wire.conditions import Values, hold, listed, matches, same_arn

Decision = Literal["allow", "deny", "none"]
Service = Literal["sqs", "sns"]
Texts = str | Annotated[list[str], msgspec.Meta(min_length=1)]
Principal = str | dict[Literal["AWS", "Service", "CanonicalUser", "Federated"], Texts]

MAX_ACTIONS = 7
_LABEL = re.compile(r"[A-Za-z0-9_-]{1,80}")
_ACTION = re.compile(r"\*|[A-Za-z0-9*?-]+:[A-Za-z0-9*?]+")
_ACCOUNT = re.compile(r"[0-9]{12}")

# What AddPermission may give away; the owner keeps the rest.
_GRANTABLE: dict[Service, re.Pattern[str]] = {
    "sqs": re.compile(
        r"\*|SendMessage|ReceiveMessage|DeleteMessage|ChangeMessageVisibility"
        r"|GetQueueAttributes|GetQueueUrl|ListDeadLetterSourceQueues|PurgeQueue"
    ),
    "sns": re.compile(
        r"Publish|Receive|Subscribe|GetTopicAttributes|SetTopicAttributes|AddPermission"
        r"|RemovePermission|DeleteTopic|ListSubscriptionsByTopic"
    ),
}


class PolicyError(Exception):
    """A policy or a permission that AWS would refuse: its code, HTTP status and text."""

    def __init__(self, message: str, code: str, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="pascal"):
    """One rule of a policy: who, what, on which resource, and under which conditions."""

    effect: Literal["Allow", "Deny"]
    sid: str = ""
    principal: Principal | None = None
    not_principal: Principal | None = None
    action: Texts | None = None
    not_action: Texts | None = None
    resource: Texts | None = None
    not_resource: Texts | None = None
    condition: dict[str, dict[str, Values]] = {}

    def __post_init__(self) -> None:
        for name in ("principal", "action", "resource"):
            if (getattr(self, name) is None) == (getattr(self, f"not_{name}") is None):
                raise ValueError(f"{name.title()} or Not{name.title()} is wanted, and only one")
        if self.effect == "Allow" and self.not_principal is not None:
            raise ValueError("NotPrincipal cannot be allowed, only denied")
        _check_principal(self.principal or self.not_principal or {})
        for action in listed(self.action or self.not_action or ""):
            if not _ACTION.fullmatch(action):
                raise ValueError(f"{action!r} is no action; example: sqs:SendMessage")
        resources = listed(self.resource or self.not_resource or "")
        values = [value for keys in self.condition.values() for value in keys.values()]
        if any("${" in text for value in [resources, *values] for text in listed(value)):
            raise ValueError("policy variables (${...}) are not supported")

    def applies(self, principal: str, action: str, resource: str, facts: Mapping[str, str]) -> bool:
        """Whether this statement has its effect on a request."""
        # Of each pair exactly one is there.
        if not (
            (self.principal is None or _names(self.principal, principal))
            and (self.not_principal is None or not _names(self.not_principal, principal))
            and (self.action is None or _acts(self.action, action))
            and (self.not_action is None or not _acts(self.not_action, action))
            and (self.resource is None or _covers(self.resource, resource))
            and (self.not_resource is None or not _covers(self.not_resource, resource))
        ):
            return False
        held = hold(self.condition, facts)
        return self.effect == "Deny" if held is None else held


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="pascal"):
    """A policy document."""

    statement: Statement | list[Statement]
    version: Literal["2012-10-17", "2008-10-17"] = "2008-10-17"
    id: str = ""

    @property
    def statements(self) -> list[Statement]:
        """The statements as a list, also when there is one outside of a list."""
        return self.statement if isinstance(self.statement, list) else [self.statement]

    def decides(
        self, principal: str, action: str, resource: str, context: Mapping[str, str]
    ) -> Decision:
        """What this policy says to a request.

        `principal` is the caller's ARN or account, or a service (`sns.amazonaws.com`); `action`
        as `sqs:SendMessage`; `resource` an ARN. `context` holds condition keys as text, "true" and
        "false" among them; names in any case. The caller's ARN and account are added to it.
        """
        facts = {name.lower(): text for name, text in context.items()}
        if principal.startswith("arn:"):
            facts.setdefault("aws:principalarn", principal)
        if account := _account_of(principal):
            facts.setdefault("aws:principalaccount", account)
        effects = {
            one.effect for one in self.statements if one.applies(principal, action, resource, facts)
        }
        if "Deny" in effects:
            return "deny"
        return "allow" if "Allow" in effects else "none"


def parse_policy(text: str) -> Policy:
    """Read a policy. Raises PolicyError, in SQS's words and with what is wrong."""
    try:
        policy = msgspec.json.decode(text, type=Policy)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise _invalid(str(error)) from error
    labels = [one.sid for one in policy.statements if one.sid]
    if len(set(labels)) < len(labels):
        raise _invalid("two statements have the same Sid")
    return policy


def add_statement(
    policy_text: str,
    label: str,
    accounts: Sequence[str],
    actions: Sequence[str],
    resource: str,
    service: Service,
) -> str:
    """AddPermission: the policy (may be empty) with a statement that lets accounts do actions.

    Raises PolicyError: the label is bad or taken, an account or an action cannot be.
    """
    if not _LABEL.fullmatch(label):
        raise _bad_value(label, "Label", "Can only include alphanumeric characters, '-' and '_'.")
    if not actions:
        raise PolicyError("The request must contain the parameter Actions.", "MissingParameter")
    if service == "sqs" and len(actions) > MAX_ACTIONS:
        raise PolicyError(
            f"{len(actions)} Actions were found, maximum allowed is {MAX_ACTIONS}.",
            "OverLimit",
            403,
        )
    for account in accounts or ["[]"]:
        if not _ACCOUNT.fullmatch(account):
            raise _bad_value(account, "PrincipalId", "Unable to verify.")
    for action in actions:
        if not _GRANTABLE[service].fullmatch(action):
            raise _not_grantable(service, action)
    policy = _as_document(policy_text, resource, service)
    if any(one.get("Sid") == label for one in policy["Statement"]):
        if service == "sns":
            raise PolicyError("Invalid parameter: Statement already exists", "InvalidParameter")
        raise _bad_value(label, "Label", "Already exists.")
    policy["Statement"].append(
        {
            "Sid": label,
            "Effect": "Allow",
            "Principal": {"AWS": _shortest([f"arn:aws:iam::{one}:root" for one in accounts])},
            "Action": _shortest([f"{service.upper()}:{action}" for action in actions]),
            "Resource": resource,
        }
    )
    return json.dumps(policy)


def remove_statement(policy_text: str, label: str) -> str:
    """RemovePermission: the policy without a statement; "" when none is left.

    Raises PolicyError when there is no such label.
    """
    policy = _as_document(policy_text, "", "sqs")
    kept = [one for one in policy["Statement"] if one.get("Sid") != label]
    if len(kept) == len(policy["Statement"]):
        raise _bad_value(label, "Label", "can't find label.")
    return json.dumps(policy | {"Statement": kept}) if kept else ""


# ---- who, what, where -------------------------------------------------------------------------
def _check_principal(principal: Principal) -> None:
    if isinstance(principal, str):
        if principal != "*":
            raise ValueError(f"Principal {principal!r}: only '*' stands without AWS or Service")
        return
    if not principal:
        raise ValueError("Principal names nobody")
    for text in listed(principal.get("AWS", "*")):
        if text != "*" and not (
            _ACCOUNT.fullmatch(text) or (text.startswith("arn:") and not set(text) & set("*?$"))
        ):
            raise ValueError(f"Principal {text!r}: '*', an account or a whole ARN is wanted")


def _names(principal: Principal, caller: str) -> bool:
    if isinstance(principal, str):
        return True
    if caller in listed(principal.get("Service", ())):
        return True
    account = _account_of(caller)
    return any(
        text in ("*", caller)
        or (account is not None and text in (account, f"arn:aws:iam::{account}:root"))
        for text in listed(principal.get("AWS", ()))
    )


def _account_of(caller: str) -> str | None:
    if caller.startswith("arn:"):
        return [*caller.split(":"), "", "", "", ""][4] or None
    return caller if _ACCOUNT.fullmatch(caller) else None


def _acts(actions: Texts, action: str) -> bool:
    """A batch is covered by its single action, as in AWS."""
    asked = action.lower()
    return any(
        matches(pattern.lower(), one)
        for pattern in listed(actions)
        for one in (asked, asked.removesuffix("batch"))
    )


def _covers(resources: Texts, resource: str) -> bool:
    """Fields that an ARN in a policy leaves out are wildcards."""
    return any(
        one == "*" or same_arn(":".join([*one.split(":", 5), *"*****"][:6]), resource)
        for one in listed(resources)
    )


# ---- small parts ------------------------------------------------------------------------------
def _shortest(texts: list[str]) -> str | list[str]:
    return texts[0] if len(texts) == 1 else texts


def _as_document(text: str, resource: str, service: Service) -> dict[str, Any]:
    if not text:
        name = "SQSDefaultPolicy" if service == "sqs" else "SNSDefaultPolicy"
        return {"Version": "2008-10-17", "Id": f"{resource}/{name}", "Statement": []}
    parse_policy(text)
    policy: dict[str, Any] = json.loads(text)
    if isinstance(policy["Statement"], dict):
        policy["Statement"] = [policy["Statement"]]
    return policy


def _invalid(reason: str) -> PolicyError:
    return PolicyError(
        f"Invalid value for the parameter Policy. Reason: {reason}.", "InvalidAttributeValue"
    )


def _bad_value(value: str, parameter: str, reason: str) -> PolicyError:
    return PolicyError(
        f"Value {value} for parameter {parameter} is invalid. Reason: {reason}",
        "InvalidParameterValue",
    )


def _not_grantable(service: Service, action: str) -> PolicyError:
    if service == "sns":
        return PolicyError(
            "Invalid parameter: Policy statement action out of service scope!", "InvalidParameter"
        )
    return _bad_value(
        f"SQS:{action}",
        "ActionName",
        "Only the queue owner is allowed to invoke this action.",
    )
