"""What `taskflow explain` shows of names: topics, queues, handlers, tasks, as data."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from taskflow.explaining.attempts import Attempt
from taskflow.explaining.prices import Cost

Declared = Literal["both", "code", "broker", "unknown"]
"""Who has it: code and broker, one of them; unknown where no broker was asked."""


class HandlerShown(msgspec.Struct, frozen=True, kw_only=True):
    """A function on a queue. Durations in seconds; `attempts` as in
    `taskflow.explaining.attempts`. `timeout` None: no limit; `window` 0: nothing is remembered."""

    handler: str
    kind: Literal["event", "task", "workflow"]
    topics: Sequence[str] = ()
    retries: int
    timeout: float | None
    window: float
    attempts: Sequence[Attempt]
    waits: float
    worst_total: float | None
    exceptions: Sequence[str] = ()


class QueueShown(msgspec.Struct, frozen=True, kw_only=True):
    """A queue with its handlers. `waiting`, `in_flight`, `letters`, `paused` and `workers` are of
    now, None where nobody was asked; `crash` says what becomes of a message whose worker dies."""

    kind: Literal["queue"] = "queue"
    queue: str
    declared: Declared
    fifo: bool
    visibility_timeout: float
    retention: float
    max_receives: int | None
    dead_letter_queue: str | None
    dead_letter_retention: float | None
    crash: str
    handlers: Sequence[HandlerShown]
    topics: Sequence[str]
    waiting: int | None = None
    in_flight: int | None = None
    letters: int | None = None
    paused: bool | None = None
    workers: int | None = None
    cost: Cost


class RouteShown(msgspec.Struct, frozen=True, kw_only=True):
    """The way from a topic to a queue, or a URL (`endpoint`), which has no `queue`."""

    endpoint: str
    protocol: str
    declared: Declared
    filter: str | None
    filter_scope: str
    queue: QueueShown | None


class TopicShown(msgspec.Struct, frozen=True, kw_only=True):
    """A topic and where its messages go; `cost` is that of publishing and of all its queues."""

    kind: Literal["topic"] = "topic"
    topic: str
    declared: Declared
    routes: Sequence[RouteShown]
    cost: Cost


class TaskShown(msgspec.Struct, frozen=True, kw_only=True):
    """A task or workflow on its queues, and the schedules that call it."""

    kind: Literal["task"] = "task"
    task: str
    queues: Sequence[QueueShown]
    schedules: Sequence[str]


Shown = TopicShown | QueueShown | TaskShown
