"""A worker of a simulation: the real one, which the simulation may interrupt and let die."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from taskflow.broker import Broker
from taskflow.entry import Entry
from taskflow.errors import HandlerInterrupt, HandlerTimeout
from taskflow.event import Context
from taskflow.middleware import Middleware
from taskflow.registry import Registry
from taskflow.retry import Outcome
from taskflow.testing.simulation.virtual_loop import run_virtually
from taskflow.worker.execute import Invoke, invoke
from taskflow.worker.job import Job
from taskflow.worker.worker import Worker
from taskflow.workflows.aside import one_by_one

if TYPE_CHECKING:
    from taskflow.testing.simulation.stage import Stage

INTERRUPT_AGAIN = 1.0  # seconds, as of a pool
GIVE_UP_AFTER = 5.0


class Crash(BaseException):
    """The process of a simulated worker is gone. It says nothing to the broker any more."""


class SimulatedWorker(Worker):
    """Has one message at a time. `name` is for people; `job` is what its handler runs, `inside`
    whether the handler itself does. `frozen`: it stands still, and its leases with it."""

    def __init__(
        self,
        broker: Broker,
        registry: Registry,
        middleware: Sequence[Middleware],
        stage: "Stage",
        name: str,
    ) -> None:
        self.name = name
        self._stage = stage
        self._asked: list[str] = []
        self.job: Job | None = None
        self.inside = False
        self.ended = False
        self.frozen = False
        self.dead = False
        self._deadline: float | None = None
        self._expired_at: float | None = None
        self._given_up = False
        super().__init__(broker, registry=registry, middleware=middleware)

    def queue_order(self) -> list[str]:
        """The one queue that has something."""
        return self._asked

    def take(self, queue: str) -> list[Job]:
        """Receive one message of this queue, run it, settle it. Raises Crash when that kills it."""
        self._asked, self.job, self.ended, self.frozen = [queue], None, False, False
        try:
            return self.turn(limit=1)
        finally:
            self.job, self.settler = None, None

    def execute(self, job: Job, invoke: Invoke = invoke) -> Outcome:
        """As a worker does; and the simulation may step in before and after."""
        self.job, self._deadline, self._expired_at, self._given_up = job, None, None, False
        stage = self._stage
        at = stage.clock.now()
        try:
            stage.before_handler(self)
            outcome = super().execute(job, self._invoke)
            if self.dead:
                raise Crash
        except Crash:
            stage.attempt_log.attempted(self.name, job, at, None)
            raise
        stage.attempt_log.attempted(self.name, job, at, outcome)
        self.ended = True
        stage.after_handler(self)
        return outcome

    def _invoke(self, entry: Entry, context: Context) -> Any:
        if entry.timeout is not None:
            self._deadline = self._stage.clock.elapsed() + entry.timeout
        self.inside = True
        one_by_one.set(True)  # of the copy of the context that this run has
        try:
            arguments = entry.arguments(context)
            result = entry.handler(*arguments.args, **arguments.kwargs)
            if entry.is_async:
                result = run_virtually(result, self._stage.pass_time)
        except (HandlerInterrupt, asyncio.CancelledError, CancelledError) as error:
            if self._expired_at is None:
                raise
            raise self._timeout(entry) from error
        finally:
            self.inside = False
        if self._given_up:  # nobody has waited for it
            raise self._timeout(entry)
        return result

    def _timeout(self, entry: Entry) -> HandlerTimeout:
        return HandlerTimeout(f"ran longer than its timeout of {entry.timeout:g} s")

    # ---- while time passes --------------------------------------------------------------------
    def time_left(self, elapsed: float) -> float | None:
        """In how many seconds its handler is to be interrupted; None for never."""
        if not self.inside or self._deadline is None or self._given_up:
            return None
        return max(0.0, self._deadline - elapsed)

    def forgive(self, seconds: float) -> None:
        """So much has passed that does not count."""
        if self._deadline is not None:
            self._deadline += seconds

    def interrupt(self, elapsed: float) -> None:
        """Its time is over: raises what ends a handler, at first, and again when that goes on;
        after five seconds of it nobody waits for it any more."""
        assert self.job is not None
        assert self.job.entry is not None
        if self._expired_at is None:
            self._expired_at = elapsed
        elif elapsed >= self._expired_at + GIVE_UP_AFTER:
            self._given_up = True
            return
        self._deadline = elapsed + INTERRUPT_AGAIN
        raise asyncio.CancelledError if self.job.entry.is_async else HandlerInterrupt

    def extend_due(self) -> float | None:
        """When (epoch seconds) its lease is to be extended, as a pool does: at half its time."""
        job = self.job
        if job is None or self.frozen or not job.lease or self.ended:
            return None
        return job.delivery.visible_at - job.lease / 2

    def extend(self) -> None:
        """Extend what it holds."""
        if self.settler is not None:
            self.settler.extend()
