"""Delivery policies of SNS: how often a message is posted to a URL again, and when.

https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from taskflow.wire.error_codes import WireError, invalid_parameter

CONTENT_TYPE = "text/plain; charset=UTF-8"
MAX_DELAY = 3600
MAX_RETRIES = 100
FUNCTIONS = ("linear", "arithmetic", "geometric", "exponential")
_DEFAULTS: Mapping[str, Any] = {
    "minDelayTarget": 20,
    "maxDelayTarget": 20,
    "numRetries": 3,
    "numMaxDelayRetries": 0,
    "numNoDelayRetries": 0,
    "numMinDelayRetries": 0,
    "backoffFunction": "linear",
}
_PARTS = {
    "http": ("defaultHealthyRetryPolicy", "defaultThrottlePolicy", "defaultRequestPolicy"),
    "": ("healthyRetryPolicy", "throttlePolicy", "requestPolicy", "sicklyRetryPolicy"),
}


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """When to try again. Delays are whole seconds.

    After the first try come `no_delay` retries at once, `at_least` ones `min_delay` apart, then
    those whose delay grows by `function`, and `at_most` ones `max_delay` apart; `retries` in all.
    """

    min_delay: int
    max_delay: int
    retries: int
    no_delay: int
    at_least: int
    at_most: int
    function: str
    content_type: str

    def delay(self, retry: int) -> float | None:
        """Seconds before a retry (1 is the first); None when there are no more."""
        if retry > self.retries:
            return None
        if retry <= self.no_delay:
            return 0.0
        growing = self.retries - self.no_delay - self.at_least - self.at_most
        step = retry - self.no_delay - self.at_least - 1
        if step < 0:
            return float(self.min_delay)
        if step >= growing:
            return float(self.max_delay)
        return self._grown(step, growing - 1)

    def _grown(self, step: int, last: int) -> float:
        """The delay of a step between 0 (the shortest) and `last` (the longest)."""
        part = step / last if last else 0.0
        if self.function == "geometric":
            return float(self.min_delay * (self.max_delay / self.min_delay) ** part)
        if self.function == "arithmetic":
            part *= part
        elif self.function == "exponential" and last:
            part = (2**step - 1) / (2**last - 1)
        return self.min_delay + (self.max_delay - self.min_delay) * part


def check_topic_policy(text: str) -> str:
    """Return the DeliveryPolicy of a topic, else raise WireError."""
    policy = _read_object(text)
    if unknown := policy.keys() - {"http"}:
        raise _refused(f"Unexpected JSON member: {min(unknown)}")
    http = _object_in(policy, "http")
    if unknown := http.keys() - {*_PARTS["http"], "disableSubscriptionOverrides"}:
        raise _refused(f"Unexpected JSON member: http.{min(unknown)}")
    _check_retries(_object_in(http, "defaultHealthyRetryPolicy"), "http.defaultHealthyRetryPolicy")
    _check_request(_object_in(http, "defaultRequestPolicy"))
    return text


def check_subscription_policy(text: str) -> str:
    """Return the DeliveryPolicy of a subscription, else raise WireError."""
    policy = _read_object(text)
    if unknown := policy.keys() - {*_PARTS[""], "guaranteed"}:
        raise _refused(f"Unexpected JSON member: {min(unknown)}")
    _check_retries(_object_in(policy, "healthyRetryPolicy"), "healthyRetryPolicy")
    _check_request(_object_in(policy, "requestPolicy"))
    return text


def show_topic_policy(topic: str | None) -> str:
    """EffectiveDeliveryPolicy of a topic, given its own policy."""
    http = _given(topic).get("http") or {}
    effective: dict[str, Any] = {
        "defaultHealthyRetryPolicy": {**_DEFAULTS, **(http.get("defaultHealthyRetryPolicy") or {})},
        "disableSubscriptionOverrides": http.get("disableSubscriptionOverrides", False),
        "defaultRequestPolicy": {
            "headerContentType": CONTENT_TYPE,
            **(http.get("defaultRequestPolicy") or {}),
        },
    }
    if throttle := http.get("defaultThrottlePolicy"):
        effective["defaultThrottlePolicy"] = throttle
    return json.dumps({"http": effective})


def show_subscription_policy(subscription: str | None, topic: str | None) -> str:
    """EffectiveDeliveryPolicy of a subscription, given its own policy and its topic's."""
    return json.dumps(_effective(subscription, topic))


def read_policy(subscription: str | None, topic: str | None) -> DeliveryPolicy:
    """What holds for a subscription, given its own policy and its topic's (checked texts)."""
    effective = _effective(subscription, topic)
    retry = effective["healthyRetryPolicy"]
    return DeliveryPolicy(
        retry["minDelayTarget"],
        retry["maxDelayTarget"],
        retry["numRetries"],
        retry["numNoDelayRetries"],
        retry["numMinDelayRetries"],
        retry["numMaxDelayRetries"],
        retry["backoffFunction"],
        effective["requestPolicy"]["headerContentType"],
    )


def _effective(subscription: str | None, topic: str | None) -> dict[str, Any]:
    default = json.loads(show_topic_policy(topic))["http"]
    own = {} if default["disableSubscriptionOverrides"] else _given(subscription)
    request = own.get("requestPolicy") or {}
    effective: dict[str, Any] = {
        "healthyRetryPolicy": (
            {**_DEFAULTS, **own["healthyRetryPolicy"]}
            if own.get("healthyRetryPolicy")
            else default["defaultHealthyRetryPolicy"]
        ),
        "sicklyRetryPolicy": None,
        "throttlePolicy": own.get("throttlePolicy") or default.get("defaultThrottlePolicy"),
        "requestPolicy": {**default["defaultRequestPolicy"], **request},
        "guaranteed": False,
    }
    return effective


# ---- checks -------------------------------------------------------------------------------------
def _check_retries(given: Mapping[str, Any], path: str) -> None:
    if unknown := given.keys() - _DEFAULTS.keys():
        raise _refused(f"Unexpected JSON member: {path}.{min(unknown)}")
    policy = {**_DEFAULTS, **given}
    function = policy.pop("backoffFunction")
    if function not in FUNCTIONS:
        raise _refused(f"{path}.backoffFunction must be one of: {', '.join(FUNCTIONS)}")
    for name, number in policy.items():
        most = MAX_DELAY if name.endswith("Target") else MAX_RETRIES
        least = 1 if name == "minDelayTarget" else 0
        if type(number) is not int or not least <= number <= most:
            raise _refused(
                f"{path}.{name} must be an integer greater than or equal to {least} and less than "
                f"or equal to {most}"
            )
    if policy["minDelayTarget"] > policy["maxDelayTarget"]:
        raise _refused(f"{path}.minDelayTarget must be less than or equal to maxDelayTarget")
    parts = [policy[f"num{part}Retries"] for part in ("NoDelay", "MinDelay", "MaxDelay")]
    if sum(parts) > policy["numRetries"]:
        raise _refused(
            f"{path}.numRetries must be greater than or equal to the sum of numMinDelayRetries, "
            "numNoDelayRetries and numMaxDelayRetries"
        )


def _check_request(given: Mapping[str, Any]) -> None:
    kind = given.get("headerContentType", CONTENT_TYPE)
    if not isinstance(kind, str) or not kind.isascii() or not kind.isprintable() or not kind:
        raise _refused("requestPolicy.headerContentType is not a content type")


def _read_object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise _refused("failed to parse JSON.") from None
    if not isinstance(found, dict):
        raise _refused("failed to parse JSON.")
    return found


def _object_in(policy: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = policy.get(name) or {}
    if not isinstance(found, dict):
        raise _refused(f"{name} must be a JSON object")
    return found


def _given(text: str | None) -> dict[str, Any]:
    return _read_object(text) if text else {}


def _refused(reason: str) -> WireError:
    return invalid_parameter(f"DeliveryPolicy: {reason}")
