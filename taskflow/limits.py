"""The limits and name rules of SNS and SQS, as pure checks.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from taskflow.errors import ConfigError, InvalidName, LimitExceeded
from taskflow.text import LONE, character, check_line, is_simple

MAX_MESSAGE_BYTES = 1024 * 1024
MAX_PAYLOAD_BYTES = 2 * 1024**3  # of one that a broker keeps elsewhere (AWS: in S3)
MIN_MESSAGE_BYTES = 1024
MAX_TOPIC_MESSAGE_BYTES = 1024 * 1024
MAX_ATTRIBUTES = 10
MAX_RECEIVE_WAIT = 20.0
MAX_IN_FLIGHT = 120_000
MAX_MOVE_RATE = 500
MAX_TAGS = 50
MAX_SLOT = 600
DEDUPLICATION_WINDOW = 300.0
MAX_VISIBILITY = 12 * 3600.0
MAX_RETENTION = 14 * 86400.0
MIN_RETENTION = 60.0
MAX_RECEIVES = 1000
DLQ_SUFFIX = "-dlq"
FIFO_SUFFIX = ".fifo"

_TOPIC = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
_STORED_TOPIC = re.compile(r"[A-Za-z0-9_.]{1,256}")
_QUEUE = re.compile(r"[A-Za-z0-9_-]+")
_REGION = re.compile(r"\A[a-z0-9-]{1,40}/")
_GROUP = re.compile(r"[\x21-\x7e]{1,128}")
# All but tab, line ends, U+0020 to U+D7FF, U+E000 to U+FFFD, and what is above. Said the other way
# round it takes eight times as long to compile.
FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def check_topic(name: str) -> str:
    """Return `name` when it is a topic name, else raise InvalidName.

    Words of letters, digits and `_`, joined by dots, 256 characters at most. No `-`: on AWS the
    dot becomes one, and the way back must stay unambiguous.
    """
    if not isinstance(name, str) or len(name) > 256 or not _TOPIC.fullmatch(name):
        raise InvalidName(
            f"topic {name!r}: letters, digits and '_' in words joined by '.', "
            "256 characters at most, no '-' (example: order.created)"
        )
    return name


def check_stored_topic(name: str) -> str:
    """Return `name` when a broker can keep a topic under it, else raise InvalidName.

    More than `check_topic` allows: clients of the wire server may name a topic `-a` or `a--b`,
    which is `.a` and `a..b` here, and the region may stand before it (`eu-west-1/order.created`).
    """
    plain = _REGION.sub("", name, count=1) if isinstance(name, str) else ""
    if not _STORED_TOPIC.fullmatch(plain):
        check_topic(name)
    return name


def check_queue(name: str) -> str:
    """Return `name` when it is an SQS queue name, else raise InvalidName.

    A FIFO queue's name ends in `.fifo`, which counts. The wire server puts the region before the
    names of other regions than its own (`eu-west-1/audit`).
    """
    plain = _REGION.sub("", name, count=1) if isinstance(name, str) else ""
    if len(plain) > 80 or not _QUEUE.fullmatch(plain.removesuffix(FIFO_SUFFIX)):
        raise InvalidName(
            f"queue {name!r}: letters, digits, '-' and '_', 80 characters at most, '.fifo' at the "
            "end of a FIFO queue's (example: audit)"
        )
    return name


def is_fifo(name: str) -> bool:
    """Whether a queue or topic of this name is a FIFO one."""
    return name.endswith(FIFO_SUFFIX)


def dlq_of(queue: str) -> str:
    """The name of a queue's dead-letter queue: `audit-dlq`, `audit-dlq.fifo`."""
    if is_fifo(queue):
        return queue.removesuffix(FIFO_SUFFIX) + DLQ_SUFFIX + FIFO_SUFFIX
    return queue + DLQ_SUFFIX


def check_id(text: str) -> str:
    """Return a message id, else raise LimitExceeded: it goes into logs and terminals."""
    try:
        return check_line("the message id", text, 10_000)
    except (TypeError, ValueError) as error:
        raise LimitExceeded(str(error)) from None


def check_group(what: str, text: str) -> str:
    """Return a message group or deduplication id, else raise LimitExceeded.

    1 to 128 letters, digits and punctuation.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
    """
    if not isinstance(text, str) or not _GROUP.fullmatch(text):
        raise LimitExceeded(
            f"{what} is {text!r}; 1 to 128 letters, digits and punctuation are allowed"
        )
    return text


def check_slot(text: str) -> str:
    """Return what names a limit and its key (`Message.slot`), else raise LimitExceeded.

    1 to 600 characters without control characters, but for the newline between the two.
    """
    if not isinstance(text, str) or not 1 <= len(text) <= MAX_SLOT:
        raise LimitExceeded(f"slot is {text!r}; 1 to {MAX_SLOT} characters are allowed")
    name, _, key = text.partition("\n")
    if not name or not (name + key).isprintable():
        raise LimitExceeded(
            f"slot is {text!r}; a name, and perhaps a newline and a key, without control characters"
        )
    return text


def check_receive(queues: Sequence[str], limit: int, wait: float, visibility: float | None) -> None:
    """Raise LimitExceeded for a receive that no broker can do."""
    if not queues:
        raise LimitExceeded("receive names no queue; it needs one at least")
    if limit < 1:
        raise LimitExceeded(f"limit is {limit}; 1 or more is allowed")
    check_seconds("wait", wait, 0, float("inf"))
    if visibility is not None:
        check_seconds("visibility", visibility, 0, MAX_VISIBILITY)


def check_message(body: str, attributes: Mapping[str, Any], most: int = MAX_MESSAGE_BYTES) -> int:
    """Answer the size of a message in bytes: the UTF-8 length of the body and of every attribute's
    name, type and value.

    An attribute is text, or has a `type` and a `value` (`taskflow.message.Attribute`). Raises
    LimitExceeded when the message is empty, larger than `most`, or has too many attributes.
    """
    if not isinstance(body, str):
        raise TypeError(f"the message body is a {type(body).__name__}; text is wanted")
    if not body:
        raise LimitExceeded("the message body is empty; it holds 1 byte at least")
    quick = is_simple(body)  # as most are
    if not quick and (found := FORBIDDEN.search(body)):
        raise LimitExceeded(
            f"the message body holds {character(found[0])} at {found.start()}: tab, newline, "
            "return, U+0020 to U+D7FF, U+E000 to U+FFFD and what is above U+FFFF are allowed"
        )
    size = len(body) if quick else len(body.encode())
    if attributes:
        if len(attributes) > MAX_ATTRIBUTES:
            raise LimitExceeded(
                f"{len(attributes)} message attributes; {MAX_ATTRIBUTES} are allowed"
            )
        size += sum(_attribute_size(name, value) for name, value in attributes.items())
    if size > most:
        raise LimitExceeded(f"the message is {size} bytes; {most} are allowed")
    return size


def check_headers(headers: Mapping[str, str], size: int, most: int = MAX_MESSAGE_BYTES) -> int:
    """Answer the size of a message with its headers, of which `size` is without them, in bytes.

    Raises LimitExceeded when it is larger than `most`, TypeError and ValueError for what is not
    text.
    """
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"the header {name!r} is {value!r}; text is wanted")
        try:
            size += len(name.encode()) + len(value.encode())
        except UnicodeEncodeError:
            raise ValueError(f"the header {name!r} {LONE}: {value!r}") from None
    if size > most:
        raise LimitExceeded(f"the message is {size} bytes with its headers; {most} are allowed")
    return size


def _attribute_size(name: str, value: Any) -> int:
    kind = getattr(value, "type", "String")
    content = value if isinstance(value, str) else getattr(value, "value", None)
    if not isinstance(name, str) or not isinstance(content, str | bytes):
        raise LimitExceeded(
            f"message attribute {name!r} is a {type(value).__name__}; names and values are text "
            "(taskflow.message.Attribute for other types)"
        )
    data = content.encode() if isinstance(content, str) else content
    return len(name.encode()) + len(kind.encode()) + len(data)


def check_seconds(what: str, seconds: float, least: float, most: float) -> None:
    """Raise LimitExceeded unless `least <= seconds <= most` (NaN is refused too)."""
    if not isinstance(seconds, int | float):
        raise LimitExceeded(f"{what} is {seconds!r}; a number of seconds is wanted")
    if not least <= seconds <= most:
        raise LimitExceeded(f"{what} is {seconds:g} s; {least:g} to {most:g} are allowed")


def check_hold_group(name: str, hold_group: bool) -> None:
    """Raise ConfigError for what is FIFO, within a transaction of the caller's, unless that was
    meant."""
    if is_fifo(name) and not hold_group:
        raise ConfigError(
            f"{name!r} is FIFO, and with connection= its message group stands still until your "
            "transaction ends: nobody else can send to the group, nor be lent or settle a message "
            "of it; say hold_group=True if it ends soon, else publish after the commit"
        )


def check_no_connection(connection: object, broker: str) -> None:
    """Raise ConfigError when there is one: `broker` says what cannot store in its transaction."""
    if connection is not None:
        raise ConfigError(
            f"connection= is a {type(connection).__name__}: {broker} cannot store within a "
            "transaction of yours; save the event with `taskflow.outbox` in it instead"
        )
