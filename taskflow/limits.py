"""The limits and name rules of SNS and SQS, as pure checks.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html
"""

import re
from collections.abc import Mapping

from taskflow.errors import InvalidName, LimitExceeded

MAX_MESSAGE_BYTES = 1024 * 1024
MAX_ATTRIBUTES = 10
MAX_VISIBILITY = 12 * 3600.0
MAX_RETENTION = 14 * 86400.0
MIN_RETENTION = 60.0
MAX_RECEIVES = 1000
DLQ_SUFFIX = "-dlq"

_TOPIC = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
_QUEUE = re.compile(r"[A-Za-z0-9_-]{1,80}")
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


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


def check_queue(name: str) -> str:
    """Return `name` when it is an SQS queue name, else raise InvalidName."""
    if not isinstance(name, str) or not _QUEUE.fullmatch(name):
        raise InvalidName(
            f"queue {name!r}: letters, digits, '-' and '_', 80 characters at most (example: audit)"
        )
    return name


def check_message(body: str, attributes: Mapping[str, str]) -> None:
    """Raise LimitExceeded when a message is empty, too large, or has too many attributes.

    The size is the UTF-8 length of the body and of every attribute name and value.
    """
    if not body:
        raise LimitExceeded("the message body is empty; it holds 1 byte at least")
    if found := _FORBIDDEN.search(body):
        raise LimitExceeded(
            f"the message body holds {found[0]!r} at {found.start()}: "
            "tab, newline, return and U+0020 upwards are allowed"
        )
    size = len(body.encode())
    for name, text in attributes.items():
        if not (isinstance(name, str) and isinstance(text, str)):
            raise LimitExceeded(
                f"message attribute {name!r} is a {type(text).__name__}; names and values are text"
            )
    if attributes:
        if len(attributes) > MAX_ATTRIBUTES:
            raise LimitExceeded(
                f"{len(attributes)} message attributes; {MAX_ATTRIBUTES} are allowed"
            )
        size += sum(len(name.encode()) + len(text.encode()) for name, text in attributes.items())
    if size > MAX_MESSAGE_BYTES:
        raise LimitExceeded(f"the message is {size} bytes; {MAX_MESSAGE_BYTES} are allowed")


def check_seconds(what: str, seconds: float, least: float, most: float) -> None:
    """Raise LimitExceeded unless `least <= seconds <= most` (NaN is refused too)."""
    if not isinstance(seconds, int | float):
        raise LimitExceeded(f"{what} is {seconds!r}; a number of seconds is wanted")
    if not least <= seconds <= most:
        raise LimitExceeded(f"{what} is {seconds:g} s; {least:g} to {most:g} are allowed")
