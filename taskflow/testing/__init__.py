"""For users' tests: a clock you turn by hand, a broker in memory, and `drain`.

The fixtures `taskflow_clock`, `taskflow_broker`, `taskflow_registry`, `taskflow_drain` and
`taskflow_server` come with the pytest plugin (`taskflow.pytest_plugin`), which installing taskflow
registers.
"""

import random
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taskflow.broker import Broker
from taskflow.clock import Clock
from taskflow.config import open_broker
from taskflow.middleware import Middleware
from taskflow.registry import Registry, default_registry
from taskflow.retry import Outcome
from taskflow.worker import Result, Worker

if TYPE_CHECKING:
    from taskflow.server.serving import WireServer

_REAL_LIMIT = 30.0  # seconds of real time a test may wait for another thread


class ManualClock:
    """A clock that moves only when it is told to. Thread-safe.

    Code under test waits on it as on the real one; `advance` wakes whoever is due.
    """

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = start
        self._elapsed = 0.0
        self._changed = threading.Condition()
        self._waits: dict[int, tuple[threading.Condition, float]] = {}

    def now(self) -> float:
        """Seconds since the epoch, as last set."""
        return self._now

    def elapsed(self) -> float:
        """The seconds it was moved on by `advance`; a jump with `set` is none of them."""
        return self._elapsed

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        """Park until the condition is notified or the clock has advanced by `timeout`."""
        until = float("inf") if timeout is None else self._now + timeout
        key = threading.get_ident()
        with self._changed:
            if self._now >= until:
                return False
            self._waits[key] = condition, until
            self._changed.notify_all()
        try:
            notified = condition.wait()
        finally:
            with self._changed:
                self._waits.pop(key, None)
        return notified and self._now < until

    def advance(self, seconds: float) -> None:
        """Move on, and wake every wait that is due then."""
        self._elapsed += seconds
        self.set(self._now + seconds)

    def set(self, now: float) -> None:
        """Jump to a time, backwards too, as a clock that is set right does: nothing has lasted
        longer by that."""
        with self._changed:
            self._now = now
            due = {key: wait for key, wait in self._waits.items() if wait[1] <= now}
            for key in due:
                del self._waits[key]
        for condition, _ in due.values():
            with condition:
                condition.notify_all()

    def wait_until_parked(self, threads: int = 1) -> None:
        """Block until that many threads wait on this clock. Raises TimeoutError after 30 real
        seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._waits) >= threads, _REAL_LIMIT):
                raise TimeoutError(f"{len(self._waits)} of {threads} threads wait on the clock")


def memory_broker(*, clock: Clock | None = None, seed: int = 0) -> Broker:
    """A broker in memory, on a ManualClock by default, with a seeded random: fully repeatable."""
    return open_broker("memory://", clock=clock or ManualClock(), random=random.Random(seed))


@contextmanager
def wire_server(broker: Broker, **options: Any) -> Iterator["WireServer"]:
    """Serve a broker as SQS and SNS on a free port of this machine; `.url` is the endpoint.

    `options` are those of `taskflow.server.serving.ServerOptions`; `allow_reset` is on. Needs the
    extra `server`. The server has ended, and the broker is open, when the block ends.
    """
    from taskflow.server.serving import ServerOptions, WireServer

    server = WireServer(broker, ServerOptions(**{"port": 0, "allow_reset": True} | options))
    thread = threading.Thread(target=server.run, name="taskflow-test-server")
    thread.start()
    try:
        if not server.wait_until_ready(_REAL_LIMIT):
            raise TimeoutError("the server did not start; see its log")
        yield server
    finally:
        server.stop()
        thread.join()


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt that `drain` made. `at` in epoch seconds."""

    topic: str
    event_id: str
    queue: str
    handler: str
    attempt: int
    at: float
    outcome: Outcome


def drain(
    broker: Broker,
    registry: Registry = default_registry,
    queues: Iterable[str] = (),
    *,
    raise_errors: bool = True,
    advance: bool = False,
    middleware: Sequence[Middleware] = (),
) -> list[Run]:
    """Run every due message in this thread, those it causes too; answers the attempts in order.

    A handler's error is settled as in a worker and then raised here, unless `raise_errors` is
    False. With `advance`, a ManualClock jumps to the next due time until nothing is left: all
    retries happen, in no real time.
    """
    worker = Worker(broker, queues, registry=registry, middleware=middleware)
    runs: list[Run] = []
    while True:
        for result in iter(lambda: worker.step(limit=1), []):
            runs.append(_run(result[0]))
            if raise_errors and runs[-1].outcome.error is not None:
                raise runs[-1].outcome.error
        due = broker.next_due(*worker.queues) if advance else None
        if due is None:
            return runs
        if not isinstance(broker.clock, ManualClock):
            raise TypeError("drain(advance=True) needs a broker on a ManualClock")
        broker.clock.set(due)


def _run(result: Result) -> Run:
    delivery, subscription = result.job.delivery, result.job.subscription
    return Run(
        delivery.topic,
        delivery.id,
        delivery.queue,
        subscription.name if subscription else "-",
        delivery.receive_count,
        result.at,
        result.outcome,
    )
