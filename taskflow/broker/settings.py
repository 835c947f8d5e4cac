"""What a broker is told and tells: attributes of queues, topics, subscriptions; counts, answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import msgspec

from taskflow.errors import LimitExceeded
from taskflow.limits import (
    MAX_MESSAGE_BYTES,
    MAX_RECEIVE_WAIT,
    MAX_RECEIVES,
    MAX_RETENTION,
    MAX_TOPIC_MESSAGE_BYTES,
    MAX_VISIBILITY,
    MIN_MESSAGE_BYTES,
    MIN_RETENTION,
    check_seconds,
)
from taskflow.message import Delivery


class Limit(NamedTuple):
    """How many messages of one slot (`Message.slot`) may be held at once, and how many may start
    in a second; None for any number."""

    most: int | None = None
    rate: float | None = None


NO_LIMITS: Mapping[str, Limit] = {}


class Holding(NamedTuple):
    """What a worker says when it asks for more: how many messages it holds, how many of them are
    suspects (`Delivery.suspect`), and by name the limits that it knows (`Message.slot`)."""

    messages: int = 0
    suspects: int = 0
    limits: Mapping[str, Limit] = NO_LIMITS


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """The attributes of a queue. Seconds throughout; the defaults are those of SQS.

    A message received `max_receives` times without being deleted goes to `dead_letter_queue` at
    its next receive (SQS: redrive policy). Both are set or neither is. `redrive_sources` says who
    may name this queue as its dead-letter queue: None for all, else these queues only (SQS:
    redrive allow policy). A queue is FIFO by its name, which ends in `.fifo`: the deduplication
    fields are for those. `policy` is the access policy as JSON text, `others` what is only kept
    and shown (encryption). None of the three changes what the embedded broker does. `receive_wait`
    is for clients of the wire server that do not say how long they wait; `Broker.receive` is told.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
    """

    visibility_timeout: float = 30.0
    delay: float = 0.0
    retention: float = 345600.0
    dead_letter_queue: str | None = None
    max_receives: int | None = None
    receive_wait: float = 0.0
    max_message_bytes: int = MAX_MESSAGE_BYTES
    content_based_deduplication: bool = False
    deduplication_scope: Literal["queue", "messageGroup"] = "queue"
    throughput_limit: Literal["perQueue", "perMessageGroupId"] = "perQueue"
    redrive_sources: tuple[str, ...] | None = None
    policy: str | None = None
    others: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_seconds("visibility_timeout", self.visibility_timeout, 0, MAX_VISIBILITY)
        check_seconds("retention", self.retention, MIN_RETENTION, MAX_RETENTION)
        check_seconds("delay", self.delay, 0, self.retention)
        check_seconds("receive_wait", self.receive_wait, 0, MAX_RECEIVE_WAIT)
        _check_bytes("max_message_bytes", self.max_message_bytes, MAX_MESSAGE_BYTES)
        if (self.dead_letter_queue is None) != (self.max_receives is None):
            raise LimitExceeded(
                "a redrive policy has both: dead_letter_queue and max_receives, or neither"
            )
        if self.max_receives is not None and not 1 <= self.max_receives <= MAX_RECEIVES:
            raise LimitExceeded(
                f"max_receives is {self.max_receives}; 1 to {MAX_RECEIVES} are allowed"
            )
        per_group = self.throughput_limit == "perMessageGroupId"
        if per_group and self.deduplication_scope != "messageGroup":
            raise LimitExceeded(
                "throughput_limit perMessageGroupId needs deduplication_scope messageGroup"
            )


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """The attributes of a topic. It is FIFO by its name, which ends in `.fifo`.

    `max_message_bytes` bounds body and attributes of what a client of the wire server publishes
    (`Broker.publish` heeds what the queues take); `signature_version` chooses SHA1
    (1) or SHA256 (2) for what is delivered in an envelope. `policy` and `others` are kept and
    shown (display name, delivery policy, encryption).
    https://docs.aws.amazon.com/sns/latest/api/API_SetTopicAttributes.html
    """

    content_based_deduplication: bool = False
    deduplication_scope: Literal["topic", "messageGroup"] = "topic"
    max_message_bytes: int = 262_144
    signature_version: Literal[1, 2] = 1
    policy: str | None = None
    others: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_bytes("max_message_bytes", self.max_message_bytes, MAX_TOPIC_MESSAGE_BYTES)


@dataclass(frozen=True, slots=True)
class TopicSubscription:
    """Who gets what is published to a topic.

    `protocol` is `sqs`, with a queue's name as `endpoint`, or `http` or `https` with a URL. A
    `raw` one gets the body as it was published, others an SNS envelope around it. `filter_policy`
    is JSON text (`taskflow.filters`); `filter_scope` says what it looks at. What cannot be
    delivered goes to `dead_letter_queue`. Until a URL's owner has confirmed with `token` the
    subscription is pending and gets nothing. `others` is kept and shown (delivery policy).
    https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html
    """

    id: str
    topic: str
    protocol: Literal["sqs", "http", "https"]
    endpoint: str
    raw: bool = True
    filter_policy: str | None = None
    filter_scope: Literal["MessageAttributes", "MessageBody"] = "MessageAttributes"
    dead_letter_queue: str | None = None
    pending: bool = False
    token: str | None = None
    others: Mapping[str, str] = field(default_factory=dict)

    @property
    def queue(self) -> str:
        """The queue its messages are stored in; a hidden one for a URL."""
        return self.endpoint if self.protocol == "sqs" else f"~{self.id}"


@dataclass(frozen=True, slots=True)
class Described:
    """When a queue or topic was made and last changed (epoch seconds), and its tags."""

    created_at: float
    modified_at: float
    tags: Mapping[str, str]
    purged_at: float = 0.0


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """How much a queue holds now, and what became of what it held before.

    `visible`: may be received now. `in_flight`: received and still hidden. `delayed`: never
    received and not yet due. `oldest_age_seconds`: since the oldest of all was sent, 0 when
    there is none, as CloudWatch's ApproximateAgeOfOldestMessage. `due_age_seconds`: since that of
    the visible ones is due that is due the longest, whatever it was delayed or hidden before, 0
    when none is (AWS does not tell: 0; of those that wait for a slot, since they were sent).
    `handled`: deleted so far. `dead_lettered`: moved to the DLQ so far. `expired`:
    dropped so far, since nobody handled them within the queue's retention (AWS does not tell: 0).
    """

    visible: int
    in_flight: int
    delayed: int
    oldest_age_seconds: float
    handled: int
    dead_lettered: int
    paused: bool = False
    expired: int = 0
    due_age_seconds: float = 0.0


class Surveyed(NamedTuple):
    """A queue at a glance: its attributes, what it holds, and when it was made (epoch seconds)."""

    settings: QueueSettings
    counts: QueueCounts
    created_at: float


class Sent(NamedTuple):
    """What became of one message: its id and number, those of the first one for a duplicate.

    `sequence` rises with every message; on a FIFO queue or topic it is the sequence number.
    """

    id: str
    sequence: int


class Published(NamedTuple):
    """How many subscriptions the topic has, and what became of each message, in order.

    Those count whose queue is there, whatever their filters let through, and no pending ones.
    """

    subscriptions: int
    sent: Sequence[Sent]


class Finish(msgspec.Struct, frozen=True, gc=False):
    """One entry of `Broker.delete`: a receipt, and how long (seconds) to remember the id.

    `remember=0` records nothing; else the queue answers True for this id in `finished` until
    then. Record and deletion are one transaction.
    """

    delivery: Delivery
    remember: float = 0.0


Lease = Literal["held", "lapsed", "stale", "gone"]
"""How a receipt stands: its message is hidden for it, was and may be received again, was received
by somebody else since, or is no longer there."""


class Economy(NamedTuple):
    """What workers should know of the price of a broker's calls: how many outcomes fill one, how
    long (seconds) an outcome may wait for others, how much work (seconds) is worth receiving
    beyond what can start at once, and how often (seconds) to look at what nobody tells of: what is
    due, what was cancelled."""

    batch: int = 1
    settle_within: float = 0.05
    prefetch: float = 0.02
    look_every: float = 1.0


Claim = Literal["free", "finished", "running"]
"""Whether a message may be run: by whoever asked; not again, since its queue has finished the event
before; or not now, since the same event is being run from another receipt."""


@dataclass(frozen=True, slots=True)
class MoveTask:
    """A running or ended move of messages out of a dead-letter queue. Times in epoch seconds.

    Without `destination` each message goes back to the queue it came from. `rate` is messages
    per second, None for as fast as it goes; `total` what the queue held at the start.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
    """

    handle: str
    source: str
    destination: str | None
    rate: int | None
    status: Literal["RUNNING", "COMPLETED", "CANCELLED", "FAILED"]
    moved: int
    total: int
    started_at: float
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What a running worker says of itself. Times in epoch seconds, `seconds` of run time.

    `scaling`: why it has as many slots as it has, empty unless it autoscales and has changed.
    `version`: of its taskflow, empty before reports said so; `said_at`: when, by its own clock,
    where `seen_at` is by the broker's. `running`: what its handlers have for the longest, some of
    it: queue, handler, id, and since when. `does`: "paused" or "draining" when it was told to.
    `times`: by queue and handler, how many runs took so long (by `telemetry.spread.bound`);
    `waits`: by queue, how many first attempts began so long after their message was sent.
    `release`: the setting of this name, of the code that it runs.
    """

    id: str
    host: str
    pid: int
    queues: tuple[str, ...]
    started_at: float
    busy: int
    slots: int
    handlers: Mapping[str, Mapping[str, float]]
    failures: Sequence[Mapping[str, Any]]
    seen_at: float = 0.0
    scaling: str = ""
    version: str = ""
    said_at: float = 0.0
    running: Sequence[Mapping[str, Any]] = field(default_factory=list)
    does: str = ""
    times: Mapping[str, Mapping[str, Mapping[int, int]]] = field(default_factory=dict)
    waits: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    release: str = ""


def _check_bytes(what: str, size: int, most: int) -> None:
    if not MIN_MESSAGE_BYTES <= size <= most:
        raise LimitExceeded(f"{what} is {size} bytes; {MIN_MESSAGE_BYTES} to {most} are allowed")
