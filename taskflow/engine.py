"""The seam between a worker and the kinds of messages that are not events: tasks, and what follows.

Events go by their topic. A message that was sent to its queue directly belongs to the first engine
of the registry that takes it.
"""

import logging
from collections.abc import Collection, Sequence
from typing import Any, Protocol

import msgspec

from taskflow.broker import Broker
from taskflow.broker.change import Change
from taskflow.entry import Entry
from taskflow.errors import BrokerError
from taskflow.event import Context
from taskflow.message import Delivery
from taskflow.retry import Outcome, RetryPolicy


class Found(msgspec.Struct, eq=False):
    """What an engine makes of a message: who handles it, and what is known before it runs.

    `entry` is None when this worker knows nobody, `refusal` says why it cannot be run and counts as
    the failure of the attempt; `decided` is how it ends without being run. `work` is the engine's
    own. `policy` None is that of messages which nobody handles; `window` is for how long (seconds)
    the queue is to remember that the message was finished. `slot` is where it counts
    (`Message.slot`), if its message does not say so.
    """

    entry: Entry | None
    policy: RetryPolicy | None = None
    window: float = 0.0
    refusal: Exception | None = None
    decided: Outcome | None = None
    slot: str | None = None
    work: Any = None


class Begins(msgspec.Struct, frozen=True):
    """A run that is about to begin: by which handler (its name), until when (epoch seconds), and
    what it logs with."""

    handler: str
    deadline: float | None
    logger: logging.LoggerAdapter[logging.Logger]


class Ended(msgspec.Struct, eq=False):
    """A run that has ended, for its engine: `failure` is the record of a dead letter (JSON), None
    for all others; `at` in epoch seconds."""

    delivery: Delivery
    found: Found
    outcome: Outcome
    at: float
    failure: str | None


class Tender(Protocol):
    """Who does what is due by itself, which no message brings. Thread-safe."""

    def declare(self, broker: Broker, queues: Collection[str] | None = None) -> None:
        """A worker of these queues starts (None: of all): let the broker know what code says of
        them. Idempotent. Raises BrokerError when the broker cannot be used."""
        ...

    def tend(self, broker: Broker, worker: str) -> float | None:
        """Do what is due; answers when (epoch seconds) something will be next, None for never. All
        workers may, and one of them, by its id, does. Raises BrokerError when the broker cannot be
        used."""
        ...


class Engine(Tender, Protocol):
    """How messages of one kind are read, run and settled. Thread-safe."""

    def takes(self, delivery: Delivery) -> bool:
        """Whether a message without a topic is of this kind. Quick: every such message is asked."""
        ...

    def find(self, broker: Broker | None, deliveries: Sequence[Delivery]) -> list[Found]:
        """What these are for, in order. Raises BrokerError when the broker cannot say; they are
        given back then. None is a worker without a broker (Lambda)."""
        ...

    def context(
        self, found: Found, delivery: Delivery, begins: Begins, broker: Broker | None
    ) -> Context:
        """What the function, and the middleware around it, may know of this run. It may say why
        the run is refused, in `found`."""
        ...

    def begin(self, found: Found, broker: Broker | None) -> None:
        """The function is about to be called, in the `contextvars` context that it sees."""
        ...

    def value(self, found: Found, value: object) -> object:
        """What is kept of what the function returned, until it is settled. What this raises is the
        failure of the attempt."""
        ...

    def failed(self, found: Found, outcome: Outcome) -> Outcome:
        """What a failed attempt comes to: `outcome`, unless nobody wants the run any more."""
        ...

    def is_plain(self, found: Found, outcome: Outcome) -> bool:
        """Whether the broker's own verb for this outcome is all that it takes. Quick: it is asked
        of every message."""
        ...

    def settle(
        self, broker: Broker, ended: Ended, refused: BrokerError | None = None
    ) -> Change | None:
        """The change that settles what is not plain, with a fence; None for what the broker's own
        verbs do all the same. It is asked again when its change was `refused`, since what it was
        made from has changed meanwhile. Raises BrokerError when the broker cannot say what that is
        now."""
        ...

    def watch(self, broker: Broker, running: Sequence[Found]) -> Sequence[Found]:
        """About once a second: these have been running for a while. Tells them what they should
        know; answers those that are to be interrupted, if they can be. Raises BrokerError when
        the broker cannot be used."""
        ...
