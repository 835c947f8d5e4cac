"""Steps of coroutines that end at the same time: one transaction, and each its own answer."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from taskflow import AsyncRun, Broker, Registry, Worker, workflow
from taskflow.broker.change import Applied, Change, Put
from taskflow.broker.prompt import WouldWait
from taskflow.errors import BrokerUnavailable
from taskflow.publisher import using
from taskflow.tasks.durable import STEP
from taskflow.testing import ManualClock
from taskflow.worker.pool import Pool
from taskflow.workflows import step_keeper
from taskflow.workflows.signals import send_signal
from taskflow.workflows.workflow import AsyncWorkflow

WIDE = 5


class Watched:
    """A broker that notes which changes are made together, by which thread; and fails if told."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.groups: list[tuple[int, str]] = []
        self.fails: list[BaseException] = []
        self.waits = 0
        self.gathered: Any = self._gathered

    def __getattr__(self, name: str) -> Any:
        return getattr(self.broker, name)

    def apply(self, changes: Sequence[Change], *args: Any, **named: Any) -> list[Applied]:
        """As of a broker."""
        steps = sum(
            isinstance(one, Put) and one.kind == STEP
            for change in changes
            for one in change.records
        )
        if steps:
            self.groups.append((steps, threading.current_thread().name))
            if self.fails:
                raise self.fails.pop()
        return self.broker.apply(changes, *args, **named)

    def _gathered(self, verbs: Sequence[Callable[[], Any]], patience: float | None = None) -> Any:
        answers, wait = self.broker.gathered(verbs, patience)  # type: ignore[attr-defined]

        def waited() -> None:
            self.waits += 1
            if wait is not None:
                wait()

        return answers, waited


@pytest.fixture
def watched(taskflow_broker: Broker) -> Iterator[Any]:
    one: Any = Watched(taskflow_broker)
    with using(one):
        yield one


async def double(number: int) -> int:
    """What a step does."""
    return 2 * number


def wide(registry: Registry) -> AsyncWorkflow[[], list[int]]:
    """Steps that end in the same turn of the loop."""

    @workflow(registry=registry, queue="flows", name="flow", retries=2)
    async def flow(ctx: AsyncRun) -> list[int]:
        return await ctx.gather(*((double, number) for number in range(WIDE)))

    return flow


def run(watched: Any, registry: Registry, flow: AsyncWorkflow[[], Any]) -> Any:
    """A run of it, to its end."""
    worker = Worker(watched, registry=registry)
    made = flow.delay()
    worker.drain()
    return made


def test_steps_that_end_together_are_kept_together_on_the_loop(
    watched: Any, taskflow_registry: Registry
) -> None:
    made = run(watched, taskflow_registry, wide(taskflow_registry))
    assert made.get(0) == [0, 2, 4, 6, 8]
    assert watched.groups == [(WIDE, threading.current_thread().name)]
    assert watched.waits == 1
    assert [step.id for step in made.tree().steps] == [
        "double",
        *(f"double#{number}" for number in range(2, WIDE + 1)),
    ]


def test_steps_of_several_runs_are_kept_together(watched: Any, taskflow_registry: Registry) -> None:
    together: list[asyncio.Barrier] = []

    async def meet(number: int) -> int:
        if not together:
            together.append(asyncio.Barrier(WIDE))
        await together[0].wait()
        return number

    @workflow(registry=taskflow_registry, queue="flows", name="flow")
    async def flow(ctx: AsyncRun, number: int) -> int:
        return await ctx.step(meet, number)

    worker = Worker(watched, registry=taskflow_registry)
    made = flow.send_many([(number,) for number in range(WIDE)])
    Pool(worker, burst=True).run()
    assert [one.get(0) for one in made] == list(range(WIDE))
    assert sum(steps for steps, _ in watched.groups) == WIDE
    assert len(watched.groups) < WIDE


def test_where_the_loop_would_wait_a_thread_does(watched: Any, taskflow_registry: Registry) -> None:
    def would_wait(verb: Callable[[], Any]) -> Any:
        raise WouldWait

    watched.gathered = would_wait
    made = run(watched, taskflow_registry, wide(taskflow_registry))
    assert made.get(0) == [0, 2, 4, 6, 8]
    ((steps, thread),) = watched.groups
    assert steps == WIDE
    assert thread != threading.current_thread().name


def test_a_run_that_was_told_something_meanwhile_is_asked_again(
    watched: Any, taskflow_registry: Registry
) -> None:
    async def told(run: str) -> str:
        send_signal(watched.broker, run, "go", 1)
        return "told"

    @workflow(registry=taskflow_registry, queue="flows", name="flow")
    async def flow(ctx: AsyncRun) -> list[Any]:
        return [await ctx.step(told, ctx.run or ""), await ctx.wait("go")]

    made = run(watched, taskflow_registry, flow)
    assert made.get(0) == ["told", 1]
    here = threading.current_thread().name
    assert [thread == here for _, thread in watched.groups[:3]] == [True, False, False]


@pytest.mark.parametrize("fails", [1, 2])
def test_a_broker_that_is_away_ends_the_attempt_if_it_is_so_in_a_thread_too(
    watched: Any, taskflow_registry: Registry, taskflow_clock: ManualClock, fails: int
) -> None:
    flow = wide(taskflow_registry)
    watched.fails = [BrokerUnavailable("away")] * fails
    made = run(watched, taskflow_registry, flow)
    assert made.state == ("done" if fails == 1 else "retrying")
    assert len(watched.groups) == 2
    taskflow_clock.advance(60)
    Worker(watched, registry=taskflow_registry).drain()
    assert made.get(0) == [0, 2, 4, 6, 8]


def test_what_a_step_has_sent_is_sent_once_when_it_is_kept_in_a_second_try(
    watched: Any, taskflow_registry: Registry
) -> None:
    @workflow(registry=taskflow_registry, queue="flows", name="child")
    async def child(ctx: AsyncRun, number: int) -> int:
        return number

    async def begin(number: int) -> str:
        return (await child.delay_async(number)).id

    @workflow(registry=taskflow_registry, queue="flows", name="flow")
    async def flow(ctx: AsyncRun) -> Any:
        return await ctx.step(begin, 7)

    watched.fails = [BrokerUnavailable("away")]
    made = run(watched, taskflow_registry, flow)
    assert watched.records("run", [made.get(0)])[made.get(0)].state == "done"
    assert watched.counts("flows").handled == 2


def test_where_the_disk_is_waited_for_a_thread_keeps_all_but_the_first(
    watched: Any, taskflow_registry: Registry
) -> None:
    @workflow(registry=taskflow_registry, queue="flows", name="flow")
    async def flow(ctx: AsyncRun) -> int:
        numbers = await ctx.gather((double, 1), (double, 2))
        more = await ctx.gather(*((double, number) for number in numbers))
        return sum(await ctx.gather(*((double, number) for number in more)))

    made = run(watched, taskflow_registry, flow)
    assert made.get(0) == 24
    here = threading.current_thread().name
    assert [thread == here for _, thread in watched.groups] == [True, False, False]
    assert watched.waits == 1


def test_one_thread_at_a_time_keeps_what_the_loop_cannot(
    watched: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go_on = threading.Event(), threading.Event()
    active, calls = [0], []

    def keep(some: Sequence[Any], apply: Any, *, waits: bool) -> Any:
        if not waits:
            return [], some
        active[0] += 1
        calls.append((active[0], [one._result for one in some]))
        began.set()
        assert go_on.wait(10)
        active[0] -= 1
        return some, []

    monkeypatch.setattr(step_keeper, "_keep", keep)
    step: Any = SimpleNamespace(journal=SimpleNamespace(broker=watched))

    async def keep_three() -> None:
        keeper = step_keeper.StepKeeper()
        kept = [keeper.keep(step, b"1")]
        await asyncio.to_thread(began.wait, 10)
        for result in (b"2", b"3"):
            kept.append(keeper.keep(step, result))
            await asyncio.to_thread(int)  # the loop turns
        go_on.set()
        await asyncio.gather(*kept)

    asyncio.run(keep_three())
    assert calls == [(1, [b"1"]), (1, [b"2", b"3"])]
