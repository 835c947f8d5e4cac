"""`Sim`: an application's broker, workers and schedules, on simulated time, in one thread."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from taskflow.broker import Broker
from taskflow.brokers import open_address
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.config import refusing_brokers
from taskflow.durations import Duration, seconds_of
from taskflow.middleware import Middleware
from taskflow.publisher import EventId, publish, using
from taskflow.registry import Registry, default_registry
from taskflow.sealing.sealed_broker import sealed
from taskflow.tasks.task import TaskBase
from taskflow.testing.simulation.attempt import Attempt, history, span, story
from taskflow.testing.simulation.fault_rates import Faults
from taskflow.testing.simulation.foreground import Foreground
from taskflow.testing.simulation.found_letters import Letter, letters_in
from taskflow.testing.simulation.hazards import Hazards
from taskflow.testing.simulation.known_names import Names
from taskflow.testing.simulation.script import Script
from taskflow.testing.simulation.simulated_broker import Published, SimulatedBroker
from taskflow.testing.simulation.simulated_clock import Frozen, SimulatedClock
from taskflow.testing.simulation.stage import Stage
from taskflow.testing.simulation.trial import current_trial
from taskflow.workflows.workflow_result import WorkflowResult

START = 1_800_000_000.0
"""When a simulation begins: 2027-01-15 08:00 UTC."""
MOST = 400 * 86400.0  # seconds that `run_until_idle` goes on
KEEP = "1d"  # the result of a task that keeps none, when `call` wants it


class Sim:
    """The application of a registry, in a world of its own: a broker in memory, workers that are
    the real ones without threads, schedules, retries, leases, rates and time limits, on a clock
    that jumps to what is due next. Nothing waits, and one seed is one history.

    `workers`: how many messages may be handled at once, which matters when a handler lets time pass
    (`advance`). `start`: epoch seconds. `seed`: of ids, backoff and faults. `faults`: what befalls
    it. `topics`: those that others declare, beside the registry's own. `frozen`: what freezegun
    gave, which then shows the same time. Raises ValueError for what cannot be.

    A handler that raises is tried again as its policy says. An error that ends in the dead letters,
    and an AssertionError at once, is raised by what made time pass, with the handler's traceback;
    but for those `expect`ed.

    Within `with Sim(registry) as sim:` (or the fixture `taskflow_sim`), its broker is that of
    `publish` and `.delay`, and there is no other: `open_broker` raises ConfigError. Everything
    happens in the thread that calls; it is not thread-safe.
    """

    def __init__(
        self,
        registry: Registry = default_registry,
        *,
        seed: int | str = 0,
        faults: Faults | None = None,
        workers: int = 4,
        start: float = START,
        topics: Sequence[str] = (),
        middleware: Sequence[Middleware] = (),
        frozen: Frozen | None = None,
    ) -> None:
        if not isinstance(registry, Registry):
            raise TypeError(f"Sim of {registry!r}; a Registry is wanted, and its broker is its own")
        if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
            raise ValueError(f"workers is {workers!r}; a number of workers, 1 or more")
        trial = current_trial()
        if trial is None or faults is not None:
            script = Script(seed, Faults() if faults is None else faults)
        else:
            script = trial.script(self)
        self._script = script
        self.registry = registry
        self.start = start
        self.clock = SimulatedClock(start, frozen)
        opened = open_address("memory://", clock=self.clock, random=random.Random(seed))
        assert isinstance(opened, StoredBroker)
        inner = sealed(opened, registry.codec)
        foreground = Foreground(opened) if inner is opened else None
        self._broker = SimulatedBroker(inner, opened.receiver.first_due, script.quiet, foreground)
        for topic in topics:
            inner.create_topic(topic)
        self._stage = Stage(
            self._broker, self.clock, registry, middleware, workers, Hazards(script)
        )
        self._names = Names(registry, topics)
        self._open = ExitStack()
        self.clock.go_on = self._wait

    # ---- as a block ---------------------------------------------------------------------------
    def __enter__(self) -> Self:
        self._open.enter_context(using(self.broker))
        self._open.enter_context(refusing_brokers("a simulation is on, whose broker is its own"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            error.add_note(self.history())
        self.close()

    def close(self) -> None:
        """Let go of the broker. Idempotent."""
        self._open.close()
        self._broker.whole.close()

    @property
    def broker(self) -> Broker:
        """Its broker: look into it as you like."""
        return self._broker.whole

    # ---- putting in ---------------------------------------------------------------------------
    def publish(self, topic: str, payload: Any, **options: Any) -> EventId:
        """`taskflow.publish`, to this broker. Nothing runs before time is let pass."""
        return publish(topic, payload, broker=self.broker, **options)

    def call(self, task: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a task (or `task.options(…)`) through its queue, let time pass until it has ended,
        and answer what it returned. Raises as `Result.get`; AssertionError when nothing is left to
        do, and it has not ended."""
        __tracebackhide__ = True
        if isinstance(task, TaskBase) and not task.target.keep:
            task = task.options(result=KEEP)
        with using(self.broker):
            result = task.delay(*args, **kwargs)
            self._go(self.clock.now() + MOST, lambda: bool(result.ready))
            if not result.ready:
                raise AssertionError(f"{task} is {result.state}, and nothing is left to do")
            return result.get(0)

    def signal(self, run: str | WorkflowResult[Any], name: str, payload: Any = None) -> bool:
        """`WorkflowResult.signal`: tell a run of a workflow something. Nothing runs before time is
        let pass. False when it has ended, or there is none."""
        return WorkflowResult(str(run), broker=self.broker).signal(name, payload)

    # ---- letting time pass --------------------------------------------------------------------
    def run_until_idle(self) -> None:
        """Do all there is to do, the retries and delayed ones too, jumping from one to the next.
        Schedules go on meanwhile; when nothing but their next ticks is left, it is idle.

        Raises the first unexpected error of a handler; RuntimeError when there is no end.
        """
        __tracebackhide__ = True
        with using(self.broker):
            self._go(None, None)

    def run_for(self, duration: Duration) -> None:
        """Do what becomes due within so long, schedules included, and end then."""
        __tracebackhide__ = True
        with using(self.broker):
            self._go(self.clock.now() + seconds_of("run_for", duration), None)

    def advance(self, duration: Duration) -> None:
        """Let time pass. Within a handler (or what it calls): it takes so long; other workers go on
        meanwhile, its lease is extended, and at its time limit it is interrupted. Outside of one:
        nobody works meanwhile, as in an outage."""
        seconds = seconds_of("advance", duration)
        if self._stage.running:
            self._stage.pass_time(seconds)
        else:
            self.clock.move_to(self.clock.now() + seconds)

    def point(self, name: str) -> None:
        """Within a handler (or what it calls, such as a double of something outside): a worker may
        die here, when faults are on. `@crash_matrix` lets it."""
        self._stage.point(name)

    async def run_until_idle_async(self) -> None:
        """`run_until_idle`, without holding up the event loop of the test."""
        await asyncio.to_thread(self.run_until_idle)

    async def run_for_async(self, duration: Duration) -> None:
        """`run_for`, without holding up the event loop of the test."""
        await asyncio.to_thread(self.run_for, duration)

    async def call_async(self, task: Any, *args: Any, **kwargs: Any) -> Any:
        """`call`, without holding up the event loop of the test."""
        return await asyncio.to_thread(self.call, task, *args, **kwargs)

    def _go(self, until: float | None, done: Callable[[], bool] | None) -> None:
        __tracebackhide__ = True
        if self._stage.running:
            raise RuntimeError("a handler runs: within it, let time pass by sim.advance(…)")
        with self.clock.turn:
            self._stage.go(until, done)

    def _wait(self, timeout: float | None) -> bool:
        """Somebody waits for something in the broker: it comes, or time is over."""
        seconds = MOST if timeout is None else timeout
        if self._stage.running:
            self._stage.pass_time(seconds)
            return False
        return self._stage.wait(self.clock.now() + seconds)

    # ---- what happened ------------------------------------------------------------------------
    def expect(self, *errors: type[BaseException]) -> None:
        """Errors of these types may end in the dead letters (Reject too) without failing the
        test."""
        self._stage.attempt_log.expected += errors

    @property
    def attempts(self) -> Sequence[Attempt]:
        """All attempts, in the order of their ends."""
        return self._stage.attempt_log.attempts

    @property
    def outbox(self) -> Sequence[Published]:
        """The events that were published, by handlers and schedules too."""
        return self._broker.outbox

    @property
    def faults(self) -> Sequence[str]:
        """The faults that happened, in order."""
        return self._script.fired

    @property
    def crash_points(self) -> Sequence[str]:
        """Where a worker could have died, in order; noted by `@crash_matrix` alone."""
        return self._script.crash_points

    def timeline(self, name: str, *, id: str | None = None) -> str:
        """The attempts of a queue, topic, handler or task, as a line: `0 s failed: Timeout; 1 s
        done`; by when they began, since the simulation did. `id`: of that event alone. Raises
        ValueError for a name that nothing has."""
        return story(self._of(name, id), self.start)

    def history(self) -> str:
        """All that happened, and all that befell, line by line."""
        lines = history(self._stage.attempt_log.happened, self.start)
        head = f"simulated {span(self.clock.now() - self.start)}, seed {self._script.seed}"
        return "\n".join([head, *(f"  {line}" for line in lines)])

    def journal(self, run: str | WorkflowResult[Any]) -> str:
        """A run of a workflow as it stands: its steps, its child runs and why it waits, line by
        line. Raises NoResult when there is none."""
        return str(WorkflowResult(str(run), broker=self.broker).tree())

    def assert_delivered(self, name: str, *, times: int | None = None) -> None:
        """That attempts of a queue, topic, handler or task were `done`: so often, or at all."""
        __tracebackhide__ = True
        done = sum(one.outcome == "done" for one in self._of(name))
        if (done == 0) if times is None else (done != times):
            wanted = "at least once" if times is None else f"{times} times"
            raise AssertionError(
                f"{name} was done {done} times, not {wanted}: {self.timeline(name) or 'no attempt'}"
            )

    def letters(self, name: str | None = None) -> list[Letter]:
        """The dead letters, oldest first: all, or those of a queue, topic, handler or task."""
        found = letters_in(self.broker, self.registry)
        return found if name is None else [one for one in found if self._names.fits(name, one)]

    def assert_dead(
        self, name: str | None = None, *, reason: str | None = None, times: int | None = None
    ) -> None:
        """That there are dead letters: so many, or any, whose reason, error or its message holds
        `reason`."""
        __tracebackhide__ = True
        letters = self.letters(name)
        fit = [one for one in letters if reason is None or reason in one.why]
        if (not fit) if times is None else (len(fit) != times):
            wanted = "any" if times is None else f"{times}"
            about = "" if reason is None else f" with {reason!r}"
            raise AssertionError(
                f"{len(fit)} dead letters{about}, not {wanted}; there are: "
                + ("; ".join(map(str, letters)) or "none")
            )

    def assert_no_dead_letters(self) -> None:
        """That there are none."""
        __tracebackhide__ = True
        if letters := self.letters():
            raise AssertionError("\n".join(["there are dead letters:", *map(str, letters)]))

    def _of(self, name: str, id: str | None = None) -> list[Attempt]:
        self._names.check(name)
        return [
            one
            for one in self.attempts
            if self._names.fits(name, one) and (id is None or one.id == id)
        ]
