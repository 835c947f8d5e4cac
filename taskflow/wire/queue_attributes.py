"""The attributes of a queue as SQS names and writes them, to and from its settings.

What is read here SQS, or our server, has accepted before: refusing it in SQS's words is the
server's (`server.sqs_attributes`).
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
"""

import math
from collections.abc import Mapping
from typing import Any

from taskflow.broker.settings import QueueSettings
from taskflow.limits import (
    MAX_MESSAGE_BYTES,
    MAX_RECEIVE_WAIT,
    MAX_RETENTION,
    MAX_VISIBILITY,
    MIN_MESSAGE_BYTES,
    MIN_RETENTION,
    is_fifo,
)
from taskflow.wire.redrive import (
    ALLOW_ALL,
    ArnOf,
    NameOf,
    read_redrive,
    read_redrive_allow,
    with_headroom,
    without_headroom,
    write_redrive,
    write_redrive_allow,
)

MAX_DELAY = 900  # seconds, of a queue and of a message

# Attributes that are numbers: field of the settings, least, most.
NUMBERS: Mapping[str, tuple[str, int, int]] = {
    "VisibilityTimeout": ("visibility_timeout", 0, int(MAX_VISIBILITY)),
    "DelaySeconds": ("delay", 0, MAX_DELAY),
    "MessageRetentionPeriod": ("retention", int(MIN_RETENTION), int(MAX_RETENTION)),
    "ReceiveMessageWaitTimeSeconds": ("receive_wait", 0, int(MAX_RECEIVE_WAIT)),
    "MaximumMessageSize": ("max_message_bytes", MIN_MESSAGE_BYTES, MAX_MESSAGE_BYTES),
}
# Attributes of FIFO queues that are one of a few words: field, word to value.
WORDS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "ContentBasedDeduplication": ("content_based_deduplication", {"true": True, "false": False}),
    "DeduplicationScope": (
        "deduplication_scope",
        {"queue": "queue", "messageGroup": "messageGroup"},
    ),
    "FifoThroughputLimit": (
        "throughput_limit",
        {"perQueue": "perQueue", "perMessageGroupId": "perMessageGroupId"},
    ),
}
ENCRYPTION = ("KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "SqsManagedSseEnabled")
_KEY, _REUSE, _MANAGED = ENCRYPTION
REUSE_DEFAULT = "300"  # seconds for which SQS uses a data key again, unless told otherwise
_TAKEN_BACK = {"RedriveAllowPolicy": ALLOW_ALL}


def whole_seconds(seconds: float) -> int:
    """AWS takes whole seconds: a lease may be longer than asked for, never shorter."""
    return math.ceil(seconds)


# ---- writing ------------------------------------------------------------------------------------
def write_queue(
    queue: str, settings: QueueSettings, arn_of: ArnOf, headroom: bool = False
) -> dict[str, str]:
    """The attributes of a queue, without those that were not set. `headroom`: the receives are
    those that SQS is told, which are more than the broker's (`redrive.HEADROOM`)."""
    texts = {
        name: str(whole_seconds(getattr(settings, field))) for name, (field, *_) in NUMBERS.items()
    }
    if is_fifo(queue):
        for name, (field, words) in WORDS.items():
            value = getattr(settings, field)
            texts[name] = next(word for word, meaning in words.items() if meaning == value)
    if settings.dead_letter_queue is not None and settings.max_receives is not None:
        receives = settings.max_receives
        texts["RedrivePolicy"] = write_redrive(
            arn_of(settings.dead_letter_queue), with_headroom(receives) if headroom else receives
        )
    if settings.redrive_sources is not None:
        texts["RedriveAllowPolicy"] = write_redrive_allow(settings.redrive_sources, arn_of)
    if settings.policy is not None:
        texts["Policy"] = settings.policy
    return texts | dict(settings.others)


def changed_queue(
    queue: str, wanted: QueueSettings, before: QueueSettings, arn_of: ArnOf
) -> dict[str, str]:
    """The attributes to set so that a queue on SQS has the wanted settings, but for its policy. An
    empty text takes one back."""
    texts = write_queue(queue, wanted, arn_of, headroom=True)
    old = write_queue(queue, before, arn_of, headroom=True)
    changed = {
        name: texts.get(name, _TAKEN_BACK.get(name, ""))
        for name in {**old, **texts}
        if texts.get(name) != old.get(name)
    }
    if _KEY in wanted.others:
        changed.pop(_MANAGED, None)  # SQS turns its own keys off, and takes one kind at a time
    elif _MANAGED not in wanted.others and {_KEY, _MANAGED} & before.others.keys():
        changed[_MANAGED] = "true"  # back to what SQS gives
    changed.pop("Policy", None)
    return changed


# ---- reading ------------------------------------------------------------------------------------
def read_queue(
    queue: str, texts: Mapping[str, str], name_of: NameOf, headroom: bool = False
) -> QueueSettings:
    """The settings in the attributes of a queue. A queue that is not ours keeps its ARN."""
    found: dict[str, Any] = {}
    for name, (field, *_) in NUMBERS.items():
        if name in texts:
            found[field] = float(texts[name])
    if "max_message_bytes" in found:
        found["max_message_bytes"] = int(found["max_message_bytes"])
    if is_fifo(queue):
        for name, (field, words) in WORDS.items():
            if name in texts:
                found[field] = words[texts[name]]
    if (redrive := read_redrive(texts.get("RedrivePolicy"))) is not None:
        arn, count = redrive
        found["dead_letter_queue"] = name_of(arn) or arn
        found["max_receives"] = without_headroom(count) if headroom else count
    found["redrive_sources"] = read_redrive_allow(texts.get("RedriveAllowPolicy"), name_of)
    found["policy"] = texts.get("Policy") or None
    found["others"] = read_encryption(texts)
    return QueueSettings(**found)


def read_encryption(texts: Mapping[str, str]) -> dict[str, str]:
    """What was chosen of the encryption: SQS's own keys are the default and say nothing."""
    chosen = {name: texts[name] for name in ENCRYPTION if texts.get(name)}
    if _KEY in chosen:
        chosen.pop(_MANAGED, None)
        if chosen.get(_REUSE) == REUSE_DEFAULT:
            del chosen[_REUSE]
        return chosen
    chosen.pop(_REUSE, None)
    return chosen if chosen.get(_MANAGED) == "false" else {}


def show_encryption(others: Mapping[str, str]) -> dict[str, str]:
    """What SQS shows of it, with what it gives a queue that chose nothing."""
    shown = {_MANAGED: "true"} | dict(others)
    if _KEY in shown:
        shown.setdefault(_REUSE, REUSE_DEFAULT)
    return shown
