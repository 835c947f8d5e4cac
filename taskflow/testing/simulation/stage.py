"""What a simulation does, one thing at a time: who works, and how time passes."""

import logging
from collections.abc import Callable, Collection, Sequence
from contextvars import Context
from typing import Any

from taskflow.broker.record import RecordQuery
from taskflow.errors import BrokerError
from taskflow.middleware import Middleware
from taskflow.registry import Registry
from taskflow.tasks.run import RUN
from taskflow.testing.simulation.agenda import Agenda
from taskflow.testing.simulation.attempt import span
from taskflow.testing.simulation.attempt_log import AttemptLog
from taskflow.testing.simulation.hazards import Hazards
from taskflow.testing.simulation.own_frames import own_frames
from taskflow.testing.simulation.simulated_broker import SimulatedBroker
from taskflow.testing.simulation.simulated_clock import SimulatedClock
from taskflow.testing.simulation.simulated_worker import Crash, SimulatedWorker
from taskflow.testing.simulation.start_limits import StartLimits

UPKEEP = 3600.0  # seconds between two clean-ups of the broker
MOST_AT_ONCE = 10_000  # attempts at one moment
MOST = 400 * 86400.0  # seconds of simulated time at once
MOST_IN_VAIN = 1000  # waits while nothing is left to do
GRAIN = 1e-6  # seconds; a number for the time of today does not know less than a quarter of it
LOOK_AGAIN = 1.0  # seconds until what a broker could not do is tried again

log = logging.getLogger("taskflow.testing")


class Stage:
    """The workers, of which those that run a handler at this moment are a stack: while a handler
    lets time pass, the others go on, within its call. Not thread-safe."""

    def __init__(
        self,
        broker: SimulatedBroker,
        clock: SimulatedClock,
        registry: Registry,
        middleware: Sequence[Middleware],
        workers: int,
        hazards: Hazards,
    ) -> None:
        self.broker = broker
        self.clock = clock
        self.attempt_log = AttemptLog(clock)
        self._registry = registry
        self._middleware = middleware
        self._hazards = hazards
        hazards.script.tell = self._befell
        if not hazards.script.quiet:
            broker.around, broker.delayed = self._around, hazards.delayed
        self._stack: list[SimulatedWorker] = []
        self._hiring = False
        self._workers = [self._hire(f"worker-{number}") for number in range(1, workers + 1)]
        self._agenda = Agenda(broker.whole, broker.first_due, registry.queues())
        self._limits = StartLimits(broker.whole, registry)
        self._tend_due: float | None = None
        self._upkeep_due = clock.now() + UPKEEP
        self._at_once = 0
        self._waits_in_vain = 0

    def _hire(self, name: str) -> SimulatedWorker:
        """A new process, to which nothing happens while it starts."""
        self._hiring = True
        try:
            broker = self.broker.whole
            return SimulatedWorker(broker, self._registry, self._middleware, self, name)
        finally:
            self._hiring = False

    @property
    def running(self) -> bool:
        """Whether a handler runs, which this call comes from."""
        return bool(self._stack)

    # ---- going on -----------------------------------------------------------------------------
    def go(self, until: float | None = None, done: Callable[[], bool] | None = None) -> None:
        """Do what is due, and jump to what is due next, until that time (epoch seconds), or until
        nothing is left but schedules; no longer than until `done()`. Raises what is to fail the
        test."""
        self._look_again()
        latest = self.clock.now() + MOST
        while self.attempt_log.failure is None and not (done is not None and done()):
            if self._turn():
                continue
            due = self._next_due(idle=until is None)
            if until is not None and (due is None or due > until):
                self._move_to(until)
                return
            if due is None:
                return
            if due > latest:
                raise RuntimeError(f"it goes on and on, for {span(MOST)} by now: see sim.history()")
            self._move_to(due)
        if self._stack and until is not None:  # who has called this must not take it for its own
            self._move_to(until)
        self._fail()

    def wait(self, until: float) -> bool:
        """Do one thing, or jump to the next or until then; False when that time has come."""
        self._look_again()
        if not self._turn():
            due = self._next_due(idle=False)
            if due is None or due > until:
                self._waits_in_vain += due is None
                if self._waits_in_vain > MOST_IN_VAIN:
                    raise RuntimeError("what is waited for never comes: nothing is left to do")
                self._move_to(until)
                return False
            self._move_to(due)
        self._waits_in_vain = 0
        self._fail()
        return True

    def _look_again(self) -> None:
        self._agenda.touch()
        self.broker.look_again()

    def _fail(self) -> None:
        """Raise what is to fail the test, but not into a handler."""
        if not self._stack and (failure := self.attempt_log.take_failure()) is not None:
            raise failure.with_traceback(own_frames(failure))

    def _turn(self) -> bool:
        """Do one thing that is due at this moment; False when there is none."""
        now = self.clock.now()
        for worker in self._workers:
            if worker not in self._stack:
                break
        else:
            return False
        if self.broker.changed or (self._tend_due is not None and self._tend_due <= now):
            self._tend(worker)
        closed = self._closed()
        while (queue := self._agenda.ready(now, closed)) is not None:
            if opens_in := self._limits.opens_in(queue):
                self._agenda.postpone(queue, now + opens_in)
            elif self._step(worker, queue):
                self._at_once += 1
                if self._at_once > MOST_AT_ONCE:
                    raise RuntimeError(
                        f"{MOST_AT_ONCE} attempts at one moment, and no end: is there a handler "
                        "that calls itself? The last one was "
                        f"{self.attempt_log.attempts[-1].handler}"
                    )
                return True
            if worker not in self._workers:
                return True  # it has died
        return False

    def _step(self, worker: SimulatedWorker, queue: str) -> bool:
        """Whether it has run something."""
        before = len(self.attempt_log.attempts)
        self._stack.append(worker)
        try:
            jobs = worker.take(queue)
            self._limits.started(queue, jobs)
        except Crash:
            self._workers[self._workers.index(worker)] = self._hire(worker.name)
            self._agenda.touch()
            return False
        except BrokerError as error:
            log.info("a simulated worker could not use the broker: %s", error)
            self._agenda.touch()
        finally:
            self._stack.pop()
        if len(self.attempt_log.attempts) > before:
            self._agenda.look_at(queue)  # what was known of it was of its lease
            return True
        self._agenda.empty(queue)
        return False

    def _tend(self, worker: SimulatedWorker) -> None:
        self._stack.append(worker)
        try:
            self._tend_due = worker.tend()
        except BrokerError as error:
            log.info("a simulated worker could not use the broker: %s", error)
            self._tend_due = self.clock.now() + LOOK_AGAIN
        finally:
            self._stack.pop()
        self.broker.changed = False

    def _closed(self) -> Collection[str]:
        """Queues of which as many run as may."""
        if not self._stack:
            return ()
        running = [one.job for one in self._stack if one.job is not None]
        return self._limits.closed(running) if running else ()

    # ---- time ---------------------------------------------------------------------------------
    def _next_due(self, idle: bool) -> float | None:
        """When something is due next. `idle`: None when only schedules are left."""
        free = len(self._stack) < len(self._workers)
        dues: list[float] = []
        if free:
            message = self._agenda.next(self._closed())
            if idle and message is None and not self._runs_are_due():
                return None
            dues += [due for due in (message, self._tend_due) if due is not None]
        dues += [due for one in self._stack if (due := one.extend_due()) is not None]
        return max(self.clock.now(), min(dues)) if dues else None

    def _runs_are_due(self) -> bool:
        """Whether runs wait for a time that has not come."""
        query = RecordQuery(kind=RUN, order="due", limit=1)
        return bool(self.broker.whole.list_records(query).records)

    def _move_to(self, moment: float) -> None:
        clock = self.clock
        if moment > clock.now():
            self._at_once = 0
        clock.move_to(moment)
        if self.broker.around is not None and (step := self._hazards.clock_step()):
            clock.set(clock.now() + step)
            self._look_again()
        for one in self._stack:
            if (due := one.extend_due()) is not None and due <= clock.now():
                one.extend()
        if clock.now() >= self._upkeep_due:
            self._upkeep_due = clock.now() + UPKEEP
            self.broker.whole.upkeep()
            self._look_again()

    def pass_time(self, seconds: float) -> None:
        """Within a handler: it takes so long, and the others go on meanwhile. Raises what ends a
        handler whose time is over. (One of the others may take longer, and this one goes on only
        after it, as there is one thread: that time does not count against its limit.)"""
        worker, clock = self._stack[-1], self.clock
        while seconds > GRAIN:
            left = worker.time_left(clock.elapsed())
            part = seconds if left is None else min(seconds, left)
            if part > GRAIN:
                before = clock.elapsed()
                self._meanwhile(part)
                worker.forgive(max(0.0, clock.elapsed() - before - part))
                seconds -= part
            if left is not None and left - part <= GRAIN:
                worker.interrupt(clock.elapsed())

    def _meanwhile(self, seconds: float) -> None:
        """Let the other workers go on, in a context of their own."""
        Context().run(self.go, self.clock.now() + seconds)

    # ---- what workers say ---------------------------------------------------------------------
    def before_handler(self, worker: SimulatedWorker) -> None:
        """A worker has received a message, and is about to run its handler."""
        if self.broker.around is None:
            return
        self._hazards.crash("before the handler", worker)
        self._stall("before the handler", worker)

    def _befell(self, what: str) -> None:
        self._hazards.script.fired.append(what)
        self.attempt_log.befell(what)

    def after_handler(self, worker: SimulatedWorker) -> None:
        """A handler has ended, and the broker does not know it yet."""
        if self.broker.around is not None:
            self._stall("after the handler", worker)

    def point(self, name: str) -> None:
        """Within a handler: a worker may die here."""
        if self._stack and self.broker.around is not None:
            worker = self._stack[-1]
            if worker.dead:
                raise Crash
            self._hazards.crash(f"at {name}", worker)

    def _stall(self, point: str, worker: SimulatedWorker) -> None:
        job = worker.job
        assert job is not None
        if len(self._stack) == len(self._workers) or not self._hazards.stalls(point, worker):
            return
        worker.frozen = True
        try:
            self._meanwhile(job.delivery.visible_at - self.clock.now() + 1.0)
        finally:
            worker.frozen = False

    def _around(self, name: str, args: Sequence[Any], verb: Callable[[], Any]) -> Any:
        if self._hiring or not self._stack:
            return verb()
        return self._hazards.around(self._stack[-1], name, args, verb)
