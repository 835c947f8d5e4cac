"""The settings of a queue as attributes of SQS, and back; and the statements that let topics send.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from hashlib import sha256
from typing import Any

from taskflow.broker.settings import QueueSettings
from taskflow.errors import LimitExceeded
from taskflow.limits import MAX_RECEIVES, is_fifo

MAX_DELAY = 900
HEADROOM = 10
"""How many receives more than `max_receives` SQS itself allows before it moves a message. Its
receive count rises for reasons that are no attempts (a message not yet due, a peek, one given
back); the broker counts the attempts and moves the message at `max_receives`, with its failure
record. SQS's own move is the net under that."""
OURS = "taskflow"  # how the Sid of our statements begins
_NUMBERS = {
    "visibility_timeout": "VisibilityTimeout",
    "delay": "DelaySeconds",
    "retention": "MessageRetentionPeriod",
    "receive_wait": "ReceiveMessageWaitTimeSeconds",
    "max_message_bytes": "MaximumMessageSize",
}
_ENCRYPTION = ("KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "SqsManagedSseEnabled")


# ---- writing --------------------------------------------------------------------------------
def write_queue(
    queue: str, settings: QueueSettings, arn_of: Callable[[str], str]
) -> dict[str, str]:
    """The attributes that a queue of these settings has, but for its policy; whole seconds, as SQS
    wants them, rounded up. Raises LimitExceeded for what SQS does not have."""
    if settings.delay > MAX_DELAY:
        raise LimitExceeded(
            f"queue {queue!r}: delay is {settings.delay:g} s; SQS allows {MAX_DELAY}"
        )
    texts = {name: str(math.ceil(getattr(settings, field))) for field, name in _NUMBERS.items()}
    if is_fifo(queue):
        texts["ContentBasedDeduplication"] = str(settings.content_based_deduplication).lower()
        texts["DeduplicationScope"] = settings.deduplication_scope
        texts["FifoThroughputLimit"] = settings.throughput_limit
    elif settings.content_based_deduplication or settings.deduplication_scope != "queue":
        raise LimitExceeded(f"queue {queue!r} is not FIFO: it deduplicates nothing")
    texts["RedrivePolicy"] = ""
    if settings.dead_letter_queue is not None and settings.max_receives is not None:
        texts["RedrivePolicy"] = json.dumps(
            {
                "deadLetterTargetArn": arn_of(settings.dead_letter_queue),
                "maxReceiveCount": min(MAX_RECEIVES, settings.max_receives + HEADROOM),
            }
        )
    texts["RedriveAllowPolicy"] = _write_sources(settings.redrive_sources, arn_of)
    texts.update(settings.others)
    return texts


def _write_sources(sources: tuple[str, ...] | None, arn_of: Callable[[str], str]) -> str:
    if sources is None:
        return json.dumps({"redrivePermission": "allowAll"})
    if not sources:
        return json.dumps({"redrivePermission": "denyAll"})
    arns = [arn_of(name) for name in sources]
    return json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": arns})


def for_creation(queue: str, texts: Mapping[str, str], policy: str | None) -> dict[str, str]:
    """What CreateQueue is given: without what is empty or the default anyway."""
    plain = write_queue(queue, QueueSettings(), lambda name: name)
    chosen = {name: text for name, text in texts.items() if text != plain.get(name)}
    if is_fifo(queue):
        chosen["FifoQueue"] = "true"
    if policy is not None:
        chosen["Policy"] = policy
    return chosen


# ---- reading --------------------------------------------------------------------------------
def read_queue(
    queue: str, texts: Mapping[str, str], queue_of: Callable[[str], str | None]
) -> QueueSettings:
    """The settings in the attributes of a queue. Our statements are no part of its policy."""
    found: dict[str, Any] = {}
    for field, name in _NUMBERS.items():
        if name in texts:
            found[field] = float(texts[name])
    if "max_message_bytes" in found:
        found["max_message_bytes"] = int(found["max_message_bytes"])
    if is_fifo(queue):
        found["content_based_deduplication"] = texts.get("ContentBasedDeduplication") == "true"
        found["deduplication_scope"] = texts.get("DeduplicationScope") or "queue"
        found["throughput_limit"] = texts.get("FifoThroughputLimit") or "perQueue"
    redrive = json.loads(texts.get("RedrivePolicy") or "{}")
    if redrive:
        arn, count = redrive["deadLetterTargetArn"], int(redrive["maxReceiveCount"])
        found["dead_letter_queue"] = queue_of(arn) or arn
        found["max_receives"] = count - HEADROOM if count > HEADROOM else count
    found["redrive_sources"] = _read_sources(texts.get("RedriveAllowPolicy"), queue_of)
    found["policy"] = without_ours(texts.get("Policy"))
    found["others"] = _read_encryption(texts)
    return QueueSettings(**found)


def _read_sources(
    text: str | None, queue_of: Callable[[str], str | None]
) -> tuple[str, ...] | None:
    policy = json.loads(text or "{}")
    match policy.get("redrivePermission"):
        case "denyAll":
            return ()
        case "byQueue":
            return tuple(queue_of(arn) or arn for arn in policy.get("sourceQueueArns", ()))
    return None


def _read_encryption(texts: Mapping[str, str]) -> dict[str, str]:
    """What was chosen of the encryption: SQS's own keys are the default and say nothing."""
    chosen = {name: texts[name] for name in _ENCRYPTION if texts.get(name)}
    if "KmsMasterKeyId" in chosen:
        chosen.pop("SqsManagedSseEnabled", None)
        if chosen.get("KmsDataKeyReusePeriodSeconds") == "300":
            del chosen["KmsDataKeyReusePeriodSeconds"]
        return chosen
    chosen.pop("KmsDataKeyReusePeriodSeconds", None)
    return chosen if chosen.get("SqsManagedSseEnabled") == "false" else {}


def differences(found: QueueSettings, declared: QueueSettings) -> str:
    """Each attribute in which two settings differ on AWS, as text; empty when none does."""
    parts = []
    for field in fields(found):
        one, other = getattr(found, field.name), getattr(declared, field.name)
        if field.name == "max_receives" and one and other:
            one, other = (min(MAX_RECEIVES - HEADROOM, number) for number in (one, other))
        elif field.name == "policy":
            if same_policy(one, other):
                continue
        elif field.name == "redrive_sources":
            one, other = one and tuple(sorted(one)), other and tuple(sorted(other))
        elif isinstance(other, float):
            other = float(math.ceil(other))
        if one != other:
            parts.append(
                f"{field.name} is {getattr(found, field.name)}, "
                f"declared as {getattr(declared, field.name)}"
            )
    return "; ".join(parts)


# ---- policies -------------------------------------------------------------------------------
def _read_policy(text: str | None) -> tuple[dict[str, Any], list[Any]]:
    policy: dict[str, Any] = json.loads(text) if text else {}
    statements = policy.get("Statement", [])
    return policy, statements if isinstance(statements, list) else [statements]


def same_policy(one: str | None, other: str | None) -> bool:
    """Whether two policies say the same."""
    return bool(json.loads(one or "{}") == json.loads(other or "{}"))


def _is_ours(statement: Any) -> bool:
    return isinstance(statement, dict) and str(statement.get("Sid", "")).startswith(OURS)


def without_ours(text: str | None) -> str | None:
    """A policy without the statements that this broker put there; None when nothing is left."""
    policy, statements = _read_policy(text)
    rest = [one for one in statements if not _is_ours(one)]
    if len(rest) == len(statements):
        return text or None
    return json.dumps(policy | {"Statement": rest}) if rest else None


def with_ours(declared: str | None, present: str | None) -> str | None:
    """A declared policy with the statements of this broker that are present already."""
    ours = [one for one in _read_policy(present)[1] if _is_ours(one)]
    if not ours:
        return declared
    policy, statements = _read_policy(declared)
    return json.dumps({"Version": "2012-10-17"} | policy | {"Statement": [*statements, *ours]})


def allow_topic(text: str | None, queue_arn: str, topic_arn: str) -> str | None:
    """A queue's policy with the statement that lets just this topic send; None when it has it.

    https://docs.aws.amazon.com/sns/latest/dg/subscribe-sqs-queue-to-sns-topic.html
    """
    name = "".join(filter(str.isalnum, topic_arn.rpartition(":")[2]))
    statement = {
        "Sid": f"{OURS}{name}{sha256(topic_arn.encode()).hexdigest()[:8]}",
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic_arn}},
    }
    policy, statements = _read_policy(text)
    if any(isinstance(one, dict) and one.get("Sid") == statement["Sid"] for one in statements):
        return None
    policy = {"Version": "2012-10-17"} | policy | {"Statement": [*statements, statement]}
    return json.dumps(policy)
