"""What travels: Message (as sent) and Delivery (as received). Frozen data, no behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from taskflow.limits import check_message, check_seconds


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


NO_ATTRIBUTES: Mapping[str, str] = {}
FAILURE = "failure"
"""The attribute of a dead letter that holds its failure record, as JSON."""


@dataclass(frozen=True, slots=True)
class Message:
    """A body with an identity, on its way into a topic or queue.

    `id` together with the topic names the message: a queue that still holds it does not store
    it again, so sending twice is harmless. `delay` (seconds) hides it at first.
    Raises LimitExceeded (`taskflow.limits`).
    """

    id: str
    body: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0

    def __post_init__(self) -> None:
        check_message(self.body, self.attributes)
        if self.delay:
            check_seconds("delay", self.delay, 0, float("inf"))


@dataclass(slots=True)
class Delivery:
    """One receipt of one message: hidden from others until `visible_at` (epoch seconds).

    `receive_count` is 1 at the first receive. `receipt` goes stale when the message is received
    again. Everything is fixed but `visible_at`, which moves when the lease is extended, and
    `lost`, which says that extending it was refused.
    """

    id: str
    topic: str
    body: str
    attributes: Mapping[str, str]
    queue: str
    receipt: str
    receive_count: int
    sent_at: float
    first_received_at: float
    visible_at: float
    lost: bool = False


def new_id(now: float, random: Random) -> str:
    """A UUIDv7 (RFC 9562): 48 bits of milliseconds, then random; sorts by time."""
    bits = int(now * 1000) << 80 | 0x7 << 76 | random.getrandbits(76)
    bits = bits & ~(0x3 << 62) | 0x2 << 62
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
