"""What the subscriptions become on AWS: names, ARNs, topics, queues. The formats write it down."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from taskflow.broker import QueueSettings
from taskflow.errors import ConfigError
from taskflow.limits import dlq_of, is_fifo
from taskflow.registry import Registry
from taskflow.subscription import Subscription
from taskflow.topology import DEAD_LETTERS, settings_for
from taskflow.wire.arns import write_arn
from taskflow.wire.places import ACCOUNT, BUCKET, REGION, TABLE, key_prefix
from taskflow.wire.queue_attributes import whole_seconds
from taskflow.wire.redrive import with_headroom
from taskflow.wire.topic_names import to_sns

LONGEST_QUEUE, LONGEST_TOPIC = 80, 256
OLDEST_SECONDS = 3600
"""From which age of its oldest message on a queue raises an alarm, unless told otherwise."""

_PREFIX = re.compile(r"[A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Place:
    """Where on AWS it goes. `prefix` stands before every name of a queue or topic. Without region
    or account the ARNs hold `*` there. `table`, `state_table` and `bucket` are those of
    `idempotency=`, `state=` and `payloads=` in the broker's address, by their full names; `keys` is
    what stands before the keys in the bucket (`payloads=s3://bucket/keys`). Raises ConfigError for
    what is none.
    """

    region: str | None = None
    account: str | None = None
    prefix: str = ""
    table: str | None = None
    bucket: str | None = None
    keys: str = ""
    state_table: str | None = None

    def __post_init__(self) -> None:
        if self.region is not None and not REGION.fullmatch(self.region):
            raise ConfigError(f"region is {self.region!r}; example: eu-central-1")
        if self.account is not None and not ACCOUNT.fullmatch(self.account):
            raise ConfigError(f"account is {self.account!r}; it has twelve digits")
        if found := re.sub(_PREFIX, "", self.prefix):
            raise ConfigError(
                f"prefix {self.prefix!r} holds {found[0]!r}; letters, digits, '-' and '_' are "
                "allowed (example: staging-)"
            )
        for what, name in (("table", self.table), ("state table", self.state_table)):
            if name is not None and not TABLE.fullmatch(name):
                raise ConfigError(
                    f"{what} is {name!r}; 3 to 255 letters, digits, '.', '-' and '_' are allowed"
                )
        if self.table is not None and self.table == self.state_table:
            raise ConfigError(
                f"table {self.table!r} cannot be both that of idempotency= and that of state=: "
                "their keys differ"
            )
        if self.bucket is not None and not BUCKET.fullmatch(self.bucket):
            raise ConfigError(
                f"bucket is {self.bucket!r}; 3 to 63 small letters, digits, '.' and '-' are allowed"
            )

        try:
            key_prefix(self.keys)
        except ValueError as error:
            raise ConfigError(str(error)) from None

    def arn(self, service: str, name: str) -> str:
        """The ARN of a queue (`sqs`), topic (`sns`), or table (`dynamodb`)."""
        return write_arn(service, self.region or "*", self.account or "*", name, self._partition)

    @property
    def bucket_arn(self) -> str | None:
        """The ARN of the bucket, if there is one."""
        return None if self.bucket is None else f"arn:{self._partition}:s3:::{self.bucket}"

    @property
    def payloads_arn(self) -> str | None:
        """What the payloads' ARNs are like, if they have a bucket."""
        return None if self.bucket is None else f"{self.bucket_arn}/{key_prefix(self.keys)}*"

    @property
    def _partition(self) -> str:
        region = self.region or ""
        if region.startswith("cn-"):
            return "aws-cn"
        return "aws-us-gov" if region.startswith("us-gov-") else "aws"


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic: its name in code, and on AWS."""

    topic: str
    name: str
    fifo: bool


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue with its dead-letter queue (names on AWS), and what it subscribes to."""

    queue: str
    name: str
    dlq: str
    fifo: bool
    settings: QueueSettings
    subscriptions: tuple[Subscription, ...]

    @property
    def visibility_seconds(self) -> int:
        """AWS takes whole seconds; a lease may be longer than asked for, never shorter."""
        return whole_seconds(self.settings.visibility_timeout)

    @property
    def max_receives(self) -> int:
        """After how many receives SQS itself gives a message up: some more than workers make of
        it, which bury it with its failure record."""
        return with_headroom(self.settings.max_receives or 1)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything, in the order of the names in code."""

    topics: tuple[Topic, ...]
    queues: tuple[Queue, ...]
    place: Place

    @property
    def filters(self) -> bool:
        """Whether any subscription has a filter policy."""
        return any(one.filter_policy for queue in self.queues for one in queue.subscriptions)

    def topic(self, topic: str) -> Topic:
        """A topic by its name in code."""
        return next(one for one in self.topics if one.topic == topic)


DLQ_RETENTION = int(DEAD_LETTERS.retention)


def make_plan(registry: Registry, place: Place) -> Plan:
    """Raises ConfigError when nothing subscribes, or the prefix makes a name too long."""
    if not registry.queues():
        raise ConfigError("no subscription was loaded: name the modules that hold handlers")
    topics = tuple(
        Topic(topic, _short(place.prefix + to_sns(topic), LONGEST_TOPIC), is_fifo(topic))
        for topic in registry.topics()
    )
    queues = tuple(
        Queue(
            queue,
            place.prefix + queue,
            _short(place.prefix + dlq_of(queue), LONGEST_QUEUE),
            is_fifo(queue),
            settings_for(registry, queue),
            tuple(sorted(registry.subscriptions(queue), key=lambda one: one.topic)),
        )
        for queue in registry.queues()
    )
    return Plan(topics, queues, place)


def _short(name: str, most: int) -> str:
    if len(name) > most:
        raise ConfigError(
            f"{name!r} is too long by {len(name) - most}: AWS allows {most} characters; shorten "
            "the prefix or the name"
        )
    return name


class Names:
    """Gives every thing of a document a name of its own, the same ones every time."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def camel(self, *words: str) -> str:
        """`order.created`, `topic` → `OrderCreatedTopic`; a number is added when that is taken."""
        parts = re.split(r"[^A-Za-z0-9]+", " ".join(words))
        return self._own("".join(part[:1].upper() + part[1:] for part in parts), "")

    def snake(self, *words: str) -> str:
        """`audit`, `dlq` → `audit_dlq`; an underscore first when it would begin with a digit."""
        name = re.sub(r"[^A-Za-z0-9]+", "_", "_".join(words))
        return self._own(f"_{name}" if name[:1].isdigit() else name, "_")

    def _own(self, name: str, between: str) -> str:
        found, number = name, 1
        while found in self._taken:
            number += 1
            found = f"{name}{between}{number}"
        self._taken.add(found)
        return found


def unique(names: Iterable[str]) -> list[str]:
    """Sorted, each once."""
    return sorted(set(names))
