"""What the rules look at: everything that was found, as data."""

from collections.abc import Mapping, Sequence

import msgspec

from taskflow.broker.settings import (
    MoveTask,
    QueueCounts,
    QueueSettings,
    TopicSubscription,
    WorkerReport,
)
from taskflow.registry import Registry
from taskflow.scheduling.schedule import Schedule


class QueueFacts(msgspec.Struct, frozen=True):
    """A queue as the broker has it. `created_at` in epoch seconds."""

    settings: QueueSettings
    counts: QueueCounts
    created_at: float


class FileFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The file of a broker, and what lies beside it. Sizes in bytes, `mode` as chmod takes it; None
    for what is not there."""

    path: str
    exists: bool
    filesystem: str
    mode: int | None = None
    writable: bool = True
    folder_writable: bool = True
    journal_bytes: int | None = None
    wal_bytes: int | None = None
    disk_free: int = 1 << 40
    disk_total: int = 1 << 40


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """`scheme` and `options` are those of the broker's address. `looked`: it was asked what it
    holds; `broken`: why it cannot be used. `untold` are what it refused to tell. `differs` are
    lines of `taskflow topology diff` about settings. Times in epoch seconds: `now` is the broker's,
    `own_now` this machine's. `late_call`: since when the first call is due that nobody sent.
    `denied` are AWS's actions by what they are about, None when AWS did not say (`unsimulated`:
    why)."""

    registry: Registry
    scheme: str
    options: Mapping[str, str] = {}
    now: float = 0.0
    own_now: float = 0.0
    looked: bool = True
    broken: str | None = None
    untold: Sequence[str] = ()
    queues: Mapping[str, QueueFacts] = {}
    topics: Sequence[str] = ()
    subscriptions: Sequence[TopicSubscription] = ()
    differs: Sequence[str] = ()
    workers: Sequence[WorkerReport] = ()
    schedules: Sequence[Schedule] = ()
    late_call: float | None = None
    moves: Sequence[MoveTask] = ()
    files: Sequence[FileFacts] = ()
    unread_variables: Sequence[str] = ()
    denied: Mapping[str, Sequence[str]] | None = {}
    unsimulated: str = ""

    @property
    def aws(self) -> bool:
        """Whether the broker is SQS and SNS."""
        return self.scheme == "aws"

    @property
    def hears_workers(self) -> bool:
        """Whether workers are heard of here: on AWS that needs a place of its own."""
        return not self.aws or "idempotency" in self.options
