"""Coordination: what workers share, so that many of them act as one."""

from collections.abc import Collection, Sequence
from typing import Protocol

from taskflow.broker.settings import Claim, WorkerReport
from taskflow.message import Delivery


class Coordination(Protocol):
    """Claims on events, rates, leases of one among many, and who is at work.

    Thread-safe. Every verb raises BrokerUnavailable when the broker cannot be used, and
    TopicNotFound or QueueNotFound for names that were never declared; then nothing was changed.
    """

    def claim(self, deliveries: Sequence[Delivery]) -> list[Claim]:
        """Ask to run these events, each once: "finished" for one that its queue finished and still
        remembers. "running" for one that is being run from another receipt; it is hidden until
        that lease ends, and is no longer the caller's. Else "free": it is claimed for as long as
        its lease lasts, is extended with it, and until it is settled or hidden anew. Nothing is
        claimed when it raises."""
        ...

    def finished(self, queue: str, keys: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        """Which of these (id, topic) pairs the queue finished and still remembers."""
        ...

    def report(self, worker: WorkerReport) -> None:
        """Remember what a worker says of itself, now."""
        ...

    def retire(self, worker_id: str) -> None:
        """Forget a worker that has stopped."""
        ...

    def workers(self, within: float = 30.0) -> list[WorkerReport]:
        """The workers that reported within so many seconds, by id; older reports are dropped
        for good after ten times that."""
        ...

    def take(self, name: str, per_second: float, tokens: float = 0.0) -> float:
        """Take tokens from the bucket `name`; answers what it holds after that. It may go below 0,
        and fills up again from there at that rate, up to a tenth of a second's worth, 1 at least.
        With 0 tokens it is a look."""
        ...

    def hold(self, name: str, holder: str, seconds: float) -> bool:
        """Be the one of many who does something, for so long from now: whether `holder` is it.
        Who is asks again in time; nobody else can be until then."""
        ...

    def upkeep(self, limit: int = 1000) -> bool:
        """Do a bounded step of what nobody's call does: moves go on, messages past their retention
        and expired records go. Whether there is more to do at once. Any number may do it."""
        ...
