"""What travels: Message (as sent) and Delivery (as received). Frozen data, no behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING, Literal, get_args

import msgspec

from taskflow.errors import LimitExceeded
from taskflow.later import Later
from taskflow.limits import (
    MAX_MESSAGE_BYTES,
    check_group,
    check_headers,
    check_id,
    check_message,
    check_seconds,
    check_slot,
)

if TYPE_CHECKING:
    import base64
else:
    base64 = Later("base64")


@dataclass(frozen=True, slots=True)
class Attribute:
    """A message attribute that is not plain text.

    `type` is `Number`, `Binary` or `String`, with a label of your own after a dot if you like
    (`Number.int`); `value` is bytes for `Binary`, else text. An attribute given as `str` is a
    `String`.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html
    """

    type: str
    value: str | bytes


Priority = Literal["high", "normal", "low"]
PRIORITIES: tuple[Priority, ...] = get_args(Priority)
Attributes = Mapping[str, str | Attribute]
NO_ATTRIBUTES: Attributes = {}
FAILURE = "taskflow.failure"
"""The attribute of a dead letter that holds its failure record, as JSON."""
CAUSED_BY = "taskflow.caused_by"
"""The attribute of a message that was made of a dead letter: the id of that."""


class Message(msgspec.Struct, gc=False, frozen=True):
    """A body with an identity, on its way into a topic or queue.

    `id` together with the topic names the message: a queue that still holds it does not store
    it again, so sending twice is harmless. `delay` (seconds) hides it at first; None leaves it to
    the queue. `group` is the message group: order within it on a FIFO queue, fairness between
    them on others. `deduplication_id` is for FIFO queues and topics: a second one within five
    minutes is the first one again. `trace` is an X-Ray header, `sender` who sent it.
    `run` names the run (a record) that it is for, `expires_at` (epoch seconds) when it need not be
    handled any more, and `headers` are text by name that handlers see: brokers carry these three,
    and do nothing with them. `priority` is `high`, `normal` (as None is) or `low`: of what is due
    in a standard queue the higher comes first, and the lower at least once in ten times. `slot`
    names what a message shares a limit with (`Holding.limits`): the limit, and after a newline the
    key that it counts by, if it has one. (`Broker.features`: `priorities`, `limits`.)
    `subject` and `bodies` (another body for some protocols: sqs, http, https) are for topics.
    `most` is how many bytes it may have (`Broker.max_message_bytes`), `size` how many it has.
    Raises LimitExceeded (`taskflow.limits`). `msgspec.structs.replace` makes another.
    """

    id: str
    body: str
    attributes: Attributes = {}
    delay: float | None = None
    group: str | None = None
    deduplication_id: str | None = None
    trace: str | None = None
    sender: str | None = None
    subject: str | None = None
    bodies: Mapping[str, str] = {}
    run: str | None = None
    expires_at: float | None = None
    priority: Priority | None = None
    headers: Mapping[str, str] = {}
    slot: str | None = None
    most: int = MAX_MESSAGE_BYTES
    size: int = 0

    def __eq__(self, other: object) -> bool:
        """Whether it is the same message, whatever it might hold at most."""
        if not isinstance(other, Message):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in _COMPARED)

    __hash__ = None  # type: ignore[assignment]  # its attributes are mappings

    def __post_init__(self) -> None:
        if not self.id.isprintable():
            check_id(self.id)
        size = check_message(self.body, self.attributes, self.most)
        if self.headers:
            size = check_headers(self.headers, size, self.most)
        if self.priority is not None and self.priority not in PRIORITIES:
            raise LimitExceeded(
                f"priority is {self.priority!r}; allowed are {', '.join(PRIORITIES)}"
            )
        if self.slot is not None:
            check_slot(self.slot)
        msgspec.structs.force_setattr(self, "size", size)
        if self.delay:
            check_seconds("delay", self.delay, 0, float("inf"))
        if self.group is not None:
            check_group("the message group", self.group)
        if self.deduplication_id is not None:
            check_group("the deduplication id", self.deduplication_id)


_COMPARED = [name for name in Message.__struct_fields__ if name not in ("most", "size")]


@dataclass(slots=True)
class Delivery:
    """One receipt of one message: hidden from others until `visible_at` (epoch seconds).

    `receive_count` is 1 at the first receive. `receipt` goes stale when the message is received
    again. Everything is fixed but `visible_at`, which moves when the lease is extended, and
    `lost`, which says that extending it was refused. `sequence` rises in the order of sending.
    `source` is the queue that a dead letter came from; the rest is as in Message. `suspect`: the
    lease of who had it before ended without a word; it may have killed that worker.
    `received_before`: how often a dead letter was received before it came to this queue.
    """

    id: str
    topic: str
    body: str
    attributes: Attributes
    queue: str
    receipt: str
    receive_count: int
    sent_at: float
    first_received_at: float
    visible_at: float
    lost: bool = False
    sequence: int = 0
    source: str | None = None
    group: str | None = None
    deduplication_id: str | None = None
    trace: str | None = None
    sender: str | None = None
    subject: str | None = None
    suspect: bool = False
    received_before: int = 0
    run: str | None = None
    expires_at: float | None = None
    priority: Priority | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    slot: str | None = None


def plain_text(value: str | Attribute) -> str:
    """An attribute as a handler sees it: text; binary values in base64."""
    if isinstance(value, str):
        return value
    if isinstance(value.value, bytes):
        return base64.b64encode(value.value).decode()
    return value.value


def new_id(now: float, random: Random, place: int | None = None) -> str:
    """A UUIDv7 (RFC 9562): 48 bits of milliseconds, then random; sorts by time. The last ten bits
    say where what it names lies (`taskflow.placing`): in that place, or in any."""
    bits = random.getrandbits(76)
    if place is not None:
        bits = bits & ~0x3FF | place
    text = (bits & _FREE | _FIXED).to_bytes(10, "big").hex("-", 6)
    return f"{_in_millisecond(int(now * 1000))}{text[:4]}-{text[4:]}"


_FREE = (1 << 76) - 1 - (0x3 << 62)  # of the lower 80 bits: what is random
_FIXED = 0x7 << 76 | 0x2 << 62  # what says that it is a UUIDv7


@lru_cache(8)
def _in_millisecond(number: int) -> str:
    """What ids begin with that are made in this one."""
    text = f"{number & 0xFFFF_FFFF_FFFF:012x}"
    return f"{text[:8]}-{text[8:]}-"
