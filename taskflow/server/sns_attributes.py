"""The attributes of topics: what a client may set, and what it is shown.

https://docs.aws.amazon.com/sns/latest/api/API_SetTopicAttributes.html
https://docs.aws.amazon.com/sns/latest/api/API_GetTopicAttributes.html
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from taskflow.broker.settings import TopicSettings
from taskflow.limits import MAX_TOPIC_MESSAGE_BYTES, MIN_MESSAGE_BYTES, is_fifo
from taskflow.server.delivery_policy import check_topic_policy
from taskflow.wire.error_codes import WireError, invalid_parameter
from taskflow.wire.policies import PolicyError, parse_policy
from taskflow.wire.topic_attributes import KEPT, OF_FIFO, SCOPES, write_topic

_FEEDBACK = re.compile(
    r"(HTTP|SQS|Lambda|Firehose|Application)"
    r"(SuccessFeedbackRoleArn|FailureFeedbackRoleArn|SuccessFeedbackSampleRate)"
)
MAX_POLICY = 30 * 1024  # bytes, as on SNS
MAX_NAME = 2048  # characters of an ARN or a key's id, as in KMS; of an endpoint too


def set_attribute(settings: TopicSettings, name: str, text: str, fifo: bool) -> TopicSettings:
    """The settings with one attribute changed; an empty text takes one back to its default.

    Raises WireError for a name or a value that SNS refuses; its text is without what the
    operation puts before it.
    """
    if name in OF_FIFO and not fifo:
        raise invalid_parameter(f"{name} can only be set on FIFO topics")
    changes: dict[str, Any]
    match name:
        case "Policy":
            changes = {"policy": _check_policy(text) if text else None}
        case "SignatureVersion":
            changes = {"signature_version": int(_choose(name, text or "1", ("1", "2")))}
        case "MaximumMessageSize":
            changes = {"max_message_bytes": _read_size(text)}
        case "ContentBasedDeduplication":
            changes = {"content_based_deduplication": read_flag(name, text or "false")}
        case "FifoThroughputScope":
            changes = {"deduplication_scope": SCOPES[_choose(name, text or "Topic", SCOPES)]}
        case "ArchivePolicy":
            if text not in ("", "{}"):
                raise invalid_parameter("ArchivePolicy Reason: archives are not supported here")
            changes = {}
        case _ if name in KEPT or _FEEDBACK.fullmatch(name):
            others = {key: value for key, value in settings.others.items() if key != name}
            if text:
                others[name] = _CHECKS[name](text) if name in _CHECKS else check_name(name, text)
            changes = {"others": others}
        case _:
            raise invalid_parameter("AttributeName")
    return replace(settings, **changes)


def show_attributes(topic: str, settings: TopicSettings) -> dict[str, str]:
    """The attributes of a topic that its settings hold, but for its policy."""
    shown = {"DisplayName": "", **write_topic(topic, settings)}
    shown.pop("Policy", None)
    if is_fifo(topic):
        shown["FifoTopic"] = "true"
    return shown


def read_flag(name: str, text: str) -> bool:
    """An attribute that is true or false, else WireError."""
    if text.lower() not in ("true", "false"):
        raise invalid_parameter(f"{name}: Invalid value [{text}]. Must be true or false.")
    return text.lower() == "true"


def _choose(name: str, text: str, allowed: Mapping[str, str] | tuple[str, ...]) -> str:
    if text not in allowed:
        raise _bad(name, text, f"Please use either {' or '.join(allowed)}")
    return text


def _read_size(text: str) -> int:
    if not text:
        return TopicSettings().max_message_bytes
    size = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not MIN_MESSAGE_BYTES <= size <= MAX_TOPIC_MESSAGE_BYTES:
        allowed = f"Must be between {MIN_MESSAGE_BYTES} and {MAX_TOPIC_MESSAGE_BYTES}"
        raise _bad("MaximumMessageSize", text, allowed)
    return size


def _check_policy(text: str) -> str:
    try:
        if len(text.encode()) > MAX_POLICY:
            raise PolicyError(f"it is longer than {MAX_POLICY} bytes", "InvalidAttributeValue")
        parse_policy(text)
    except PolicyError as error:
        raise invalid_parameter(f"Policy Error: {error.message}") from None
    return text


def check_name(attribute: str, text: str) -> str:
    """A text that is kept as it is, if it is no longer than the name of anything, else
    WireError."""
    if len(text) > MAX_NAME:
        raise _bad(attribute, f"{text[:40]}…", f"Must be at most {MAX_NAME} characters long")
    return text


def _check_display_name(text: str) -> str:
    if len(text) > 100 or not text.isprintable():
        raise _bad("DisplayName", text, "Must be at most 100 characters without line breaks")
    return text


def _bad(name: str, text: str, reason: str) -> WireError:
    return invalid_parameter(f"{name}: Invalid value [{text}]. {reason}")


_CHECKS: Mapping[str, Callable[[str], str]] = {
    "DisplayName": _check_display_name,
    "DeliveryPolicy": check_topic_policy,
    "TracingConfig": lambda text: _choose("TracingConfig", text, ("PassThrough", "Active")),
}
