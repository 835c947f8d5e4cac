"""Queue attributes as SQS writes them, to and from the settings of a queue.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from taskflow.broker import QueueCounts, QueueSettings
from taskflow.broker.settings import Described
from taskflow.errors import QueueNotFound
from taskflow.limits import MAX_RECEIVES, is_fifo
from taskflow.server.backend import Backend
from taskflow.wire.error_codes import WireError, invalid_value, service_error
from taskflow.wire.policies import PolicyError, parse_policy
from taskflow.wire.queue_attributes import (
    ENCRYPTION,
    NUMBERS,
    WORDS,
    show_encryption,
    write_queue,
)
from taskflow.wire.redrive import MAX_REDRIVE_SOURCES, target_fault

_FLAGS = frozenset({"ContentBasedDeduplication", "SqsManagedSseEnabled"})
READ_ONLY = (
    "QueueArn",
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
)
MAX_POLICY = 20 * 1024  # bytes, as on SQS
MAX_KEY_ID = 2048  # characters of the id, alias or ARN of a key, as in KMS
SETTABLE = (*NUMBERS, *WORDS, *ENCRYPTION, "Policy", "RedrivePolicy", "RedriveAllowPolicy")
_NUMBER = re.compile(r"-?[0-9]{1,9}")
KNOWN = frozenset((*READ_ONLY, *SETTABLE, "FifoQueue"))


def read_attributes(
    attributes: Mapping[str, str], settings: QueueSettings, queue: str, backend: Backend
) -> QueueSettings:
    """`settings` with the attributes in place; `queue` is its name in the broker.

    Raises WireError, naming attribute, value and bounds. Calls the broker for a DLQ's name.
    """
    changes: dict[str, Any] = {}
    others = dict(settings.others)
    for name, text in attributes.items():
        if name in NUMBERS:
            field, least, most = NUMBERS[name]
            changes[field] = read_number(name, text, least, most)
        elif name in WORDS and is_fifo(queue):
            field, words = WORDS[name]
            word = as_word(name, text)
            if word not in words:
                raise _invalid(name, f"{text!r} is none of {', '.join(words)}")
            changes[field] = words[word]
        elif name in ("DeduplicationScope", "FifoThroughputLimit"):
            reason = f"You can specify the {name} only when FifoQueue is set to true."
            raise service_error("sqs", "InvalidAttributeName", reason)
        elif name == "RedrivePolicy":
            target, count = _read_redrive(text, queue, backend)
            changes |= {"dead_letter_queue": target, "max_receives": count}
        elif name == "RedriveAllowPolicy":
            changes["redrive_sources"] = _read_redrive_allow(text, backend)
            others[name] = text
        elif name == "Policy":
            changes["policy"] = _read_policy(text)
        elif name in ENCRYPTION:
            others |= _read_encryption(name, text, attributes)
        elif name != "FifoQueue":
            raise service_error("sqs", "InvalidAttributeName", f"Unknown Attribute {name}.")
    changes["others"] = {name: text for name, text in others.items() if text}
    scope = changes.get("deduplication_scope", settings.deduplication_scope)
    limit = changes.get("throughput_limit", settings.throughput_limit)
    if limit == "perMessageGroupId" and scope != "messageGroup":
        raise _invalid(
            "FifoThroughputLimit", "perMessageGroupId needs DeduplicationScope messageGroup"
        )
    return replace(settings, **changes)


def read_number(name: str, text: str, least: int, most: int) -> int:
    """The number in an attribute, else WireError InvalidAttributeValue."""
    if not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
        raise _invalid(name, f"{text!r} is no integer from {least} to {most}")
    return int(text)


def _invalid(name: str, reason: str) -> WireError:
    text = f"Invalid value for the parameter {name}. Reason: {reason}."
    return service_error("sqs", "InvalidAttributeValue", text)


def _read_json(name: str, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise invalid_value(text, name, "Redrive policy is not a valid JSON map.")
    return found


def _read_redrive(text: str, queue: str, backend: Backend) -> tuple[str | None, int | None]:
    if not text:
        return None, None
    policy = _read_json("RedrivePolicy", text)
    for name in ("deadLetterTargetArn", "maxReceiveCount"):
        if policy.get(name) in (None, ""):
            reason = f"Redrive policy does not contain mandatory attribute: {name}."
            raise invalid_value(text, "RedrivePolicy", reason)
    for name in policy:
        if name not in ("deadLetterTargetArn", "maxReceiveCount"):
            raise invalid_value(text, "RedrivePolicy", f"Invalid attribute name: {name}.")
    count = str(policy["maxReceiveCount"])
    if not _NUMBER.fullmatch(count) or not 1 <= int(count) <= MAX_RECEIVES:
        raise invalid_value(
            text,
            "RedrivePolicy",
            f"Invalid value for maxReceiveCount: {count}, valid values are from 1 to "
            f"{MAX_RECEIVES} both inclusive.",
        )
    arn = policy["deadLetterTargetArn"]
    try:
        target = backend.queue_of_arn(arn if isinstance(arn, str) else "")
        found = backend.broker.settings(target)
    except WireError:
        reason = "Invalid value for deadLetterTargetArn."
        raise invalid_value(text, "RedrivePolicy", reason) from None
    except QueueNotFound:
        reason = "Dead letter target does not exist."
        raise invalid_value(text, "RedrivePolicy", reason) from None
    _check_target(text, queue, target, found)
    return target, int(count)


def _check_target(text: str, queue: str, target: str, found: QueueSettings) -> None:
    fault = target_fault(queue, target, found.redrive_sources)
    if fault == "kind":
        kind = "FIFO" if is_fifo(queue) else "standard"
        reason = f"Dead-letter queue of a {kind} queue must also be a {kind} queue."
    elif fault == "itself":
        reason = "Dead-letter queue must not be the queue itself."
    elif queue.rpartition("/")[0] != target.rpartition("/")[0]:
        reason = "Dead-letter queue must be in the region of the queue."
    elif fault is not None:
        reason = "Queue does not have permission to use the dead-letter queue as its target."
    else:
        return
    raise invalid_value(text, "RedrivePolicy", reason)


def _read_redrive_allow(text: str, backend: Backend) -> tuple[str, ...] | None:
    if not text:
        return None
    policy = _read_json("RedriveAllowPolicy", text)
    arns = policy.get("sourceQueueArns", [])
    permission = policy.get("redrivePermission")
    if permission == "allowAll" and not arns:
        return None
    if permission == "denyAll" and not arns:
        return ()
    if permission == "byQueue" and isinstance(arns, list) and 1 <= len(arns) <= MAX_REDRIVE_SOURCES:
        try:
            return tuple(backend.queue_of_arn(str(arn)) for arn in arns)
        except (WireError, QueueNotFound):
            pass
    raise invalid_value(
        text,
        "RedriveAllowPolicy",
        "redrivePermission must be allowAll, denyAll, or byQueue with 1 to "
        f"{MAX_REDRIVE_SOURCES} sourceQueueArns.",
    )


def _read_policy(text: str) -> str | None:
    if not text:
        return None
    try:
        if len(text.encode()) > MAX_POLICY:
            raise PolicyError(f"it is longer than {MAX_POLICY} bytes", "InvalidAttributeValue")
        parse_policy(text)
    except PolicyError as error:
        raise service_error("sqs", "InvalidAttributeValue", error.message) from None
    return text


def _read_encryption(name: str, text: str, attributes: Mapping[str, str]) -> dict[str, str]:
    if name == "KmsDataKeyReusePeriodSeconds":
        read_number(name, text, 60, 86400)
    if name == "SqsManagedSseEnabled":
        text = as_word(name, text)
        if text not in ("true", "false"):
            raise _invalid(name, f"{text!r} is none of true, false")
        if text == "true" and attributes.get("KmsMasterKeyId"):
            raise service_error(
                "sqs",
                "InvalidAttributeName",
                "You can use one type of server-side encryption (SSE) at one time. You can either "
                "enable KMS SSE or SQS SSE.",
            )
        if text == "true":
            return {name: text, "KmsMasterKeyId": "", "KmsDataKeyReusePeriodSeconds": ""}
    if len(text) > MAX_KEY_ID:
        raise _invalid(name, f"it is {len(text)} characters long; {MAX_KEY_ID} at most")
    if name == "KmsMasterKeyId" and text:
        return {name: text, "SqsManagedSseEnabled": "false"}
    return {name: text}


def write_attributes(
    queue: str,
    settings: QueueSettings,
    described: Described,
    count: Callable[[], QueueCounts],
    wanted: list[str],
    backend: Backend,
) -> dict[str, str]:
    """The attributes that GetQueueAttributes answers; unknown names are refused."""
    for name in wanted:
        if name != "All" and name not in KNOWN:
            raise service_error("sqs", "InvalidAttributeName", f"Unknown Attribute {name}.")
    if not wanted:
        return {}
    texts = show_settings(queue, settings, backend)
    counts = count()
    texts |= {
        "QueueArn": backend.arn_of_queue(queue),
        "ApproximateNumberOfMessages": str(counts.visible),
        "ApproximateNumberOfMessagesNotVisible": str(counts.in_flight),
        "ApproximateNumberOfMessagesDelayed": str(counts.delayed),
        "CreatedTimestamp": str(int(described.created_at)),
        "LastModifiedTimestamp": str(int(described.modified_at)),
    }
    return texts if "All" in wanted else {name: texts[name] for name in wanted if name in texts}


def show_settings(queue: str, settings: QueueSettings, backend: Backend) -> dict[str, str]:
    """What was set of a queue, and the defaults, as texts."""
    texts = write_queue(queue, settings, backend.arn_of_queue) | show_encryption(settings.others)
    if is_fifo(queue):
        texts["FifoQueue"] = "true"
    return texts


def as_word(name: str, text: str) -> str:
    """A value as it is kept: what is true or false may be written with capitals."""
    return text.lower() if name in _FLAGS else text


def same_attribute(name: str, given: str, stored: str | None) -> bool:
    """Whether CreateQueue repeats what a queue has."""
    if as_word(name, given) == (stored or ""):
        return True
    if name.endswith("Policy") and stored is not None:
        try:
            return bool(_normal(json.loads(given)) == _normal(json.loads(stored)))
        except (ValueError, RecursionError):
            return False
    return False


def _normal(policy: Any) -> Any:
    if isinstance(policy, dict) and "maxReceiveCount" in policy:
        return policy | {"maxReceiveCount": str(policy["maxReceiveCount"])}
    return policy
