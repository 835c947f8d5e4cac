"""A worker dies at every point of a run: what is kept is what it would have been."""

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

import pytest

from taskflow import AsyncRun, Broker, Registry, Run, Worker, publish, task, workflow
from taskflow.broker.record import RecordQuery
from taskflow.publisher import using
from taskflow.tasks.durable import STEP
from taskflow.testing import ManualClock, memory_broker
from taskflow.workflows.checkpoint import read_checkpoint

When = Literal["before", "after"]
WRITES = ("apply", "delete", "change_visibility", "send", "publish", "receive", "give_back")


class Died(BaseException):
    """The worker is gone: whatever it does from here on does not happen."""


class Mortal:
    """A broker as a worker sees it that dies at one of its calls."""

    def __init__(self, broker: Broker, at: int = 0, when: When = "before") -> None:
        self._broker, self._at, self._when = broker, at, when
        self.calls = 0
        self.dead = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._broker, name)
        if name not in WRITES:
            return found

        def call(*args: Any, **named: Any) -> Any:
            self.calls += 1
            if self.dead or (self.calls == self._at and self._when == "before"):
                self.dead = True
                raise Died
            answer = found(*args, **named)
            if self.calls == self._at:
                self.dead = True
                raise Died
            return answer

        return call


class World:
    """An application with all that a workflow does, and what it did outside."""

    def __init__(self, function: str) -> None:
        self.clock = ManualClock()
        self.broker = memory_broker(clock=self.clock)
        self.registry = registry = Registry()
        self.effects: Counter[str] = Counter()
        self.dies_in: str | None = None
        registry.subscribe("paid", queue="audit")(lambda payload: self.do(f"audit {payload}"))
        made: Any = {"sync": self._sync, "async": self._async}[function]
        self.flow = workflow(registry=registry, queue="flows", name="flow")(made)

        @task(registry=registry, queue="packing", name="pack")
        def pack(line: int) -> int:
            self.do(f"pack {line}")
            return line

        @task(registry=registry, queue="packing", name="mail")
        def mail(number: int) -> None:
            self.do(f"mail {number}")

        self.pack, self.mail = pack, mail

    def do(self, what: str) -> str:
        self.effects[what] += 1
        if self.dies_in == what:
            self.dies_in = None
            raise Died
        return what

    def _sync(self, ctx: Run) -> list[Any]:
        paid = ctx.step(self._pay, str(ctx.uuid())[:0])
        self.mail.delay(1)
        ctx.sleep(60)
        packed = ctx.map(self.pack, [1, 2, 3], limit=2)
        publish("paid", "b")
        picked = ctx.wait("picked", timeout="1h")
        both = ctx.gather((self.do, "left"), self.pack.s(9), (self.do, "right"))
        return [paid, packed, picked, both]

    async def _async(self, ctx: AsyncRun) -> list[Any]:
        paid = await ctx.step(self._pay, "")
        self.mail.delay(1)
        await ctx.sleep(60)
        packed = await ctx.map(self.pack, [1, 2, 3], limit=2)
        publish("paid", "b")
        picked = await ctx.wait("picked", timeout="1h")
        both = await ctx.gather((self.do, "left"), self.pack.s(9), (self.do, "right"))
        return [paid, packed, picked, both]

    def _pay(self, key: str) -> str:
        publish("paid", "a")
        return self.do("pay")

    def live(self, at: int = 0, when: When = "before") -> tuple[Any, int]:
        """From the call to the end of the run; answers its result, and how many calls there were
        that a worker could have died at."""
        with using(self.broker):
            Worker(self.broker, registry=self.registry)
            run = self.flow.options(id="run").delay()
            run.signal("picked", "up")
            mortal = Mortal(self.broker, at, when)
            self._work(mortal, run)
            assert run.tree()
            return run.get(0), mortal.calls

    def _work(self, mortal: Any, run: Any) -> None:
        for _ in range(1000):
            try:
                worker = Worker(mortal, registry=self.registry)
                while worker.step(limit=1):
                    pass
                dues = [self.broker.next_due(*worker.queues), worker.tend()]
            except Died:
                mortal = self.broker
                self.clock.advance(31)
                continue
            due = min((one for one in dues if one is not None), default=None)
            if due is None or run.ready:
                return
            self.clock.set(max(due, self.clock.now()))
        raise AssertionError("it does not end")

    def journal(self) -> list[Any]:
        """What is kept of the run, without times and what is drawn."""
        page = self.broker.list_records(RecordQuery(kind=STEP, order="oldest", limit=1000))
        found = [read_checkpoint(record.value) for record in page.records]
        return sorted(
            (one.step, one.state, b"" if one.kind == "value" else bytes(one.result), one.size)
            for one in found
        )


def survives(world: World, function: str, **dies: Any) -> None:
    """The run ends as one without a death, each step is kept once, and each message sent once."""
    expected = World(function)
    wanted, _ = expected.live()
    assert world.live(**dies)[0] == wanted
    assert world.journal() == expected.journal()
    for what, count in expected.effects.items():
        least = 1 if what in world.effects else 0
        assert least == count == 1, what
    assert sum(count - 1 for count in world.effects.values()) <= 2  # what ran when it died


@pytest.mark.slow
@pytest.mark.parametrize("function", ["sync", "async"])
def test_a_death_before_and_after_each_call_changes_nothing(function: str) -> None:
    _, calls = World(function).live()
    assert calls > 20
    for at in range(1, calls + 1):
        for when in ("before", "after"):
            survives(World(function), function, at=at, when=when)


@pytest.mark.parametrize("what", ["pay", "pack 2", "left", "right", "pack 9", "mail 1", "audit a"])
@pytest.mark.parametrize("function", ["sync", "async"])
def test_a_death_inside_of_each_function_changes_nothing(function: str, what: str) -> None:
    world = World(function)
    world.dies_in = what
    survives(world, function)


def test_a_worker_whose_lease_has_ended_stops_at_its_next_step() -> None:
    world = World("sync")
    seen: list[str] = []
    taken: list[Callable[[], None]] = []

    def slow(name: str) -> str:
        seen.append(name)
        if taken:
            taken.pop()()
        return name

    @workflow(registry=world.registry, queue="other", name="other")
    def other(ctx: Run) -> str:
        first = ctx.step(slow, "a")
        return first + ctx.options(name="second").step(slow, "b")

    def lapse() -> None:
        world.clock.advance(31)
        second = Worker(world.broker, "other", registry=world.registry)
        while second.step(limit=1):
            pass

    with using(world.broker):
        first = Worker(world.broker, "other", registry=world.registry)
        run = other.delay()
        taken.append(lapse)
        first.step(limit=1)
        assert run.get(0) == "ab"
        assert seen == ["a", "a", "b"]  # the effect may happen twice, its record never
        assert [step.id for step in run.tree().steps] == ["slow", "second"]


@pytest.mark.parametrize("seed", range(6))
def test_any_number_of_deaths_changes_nothing(seed: int) -> None:
    draw = random.Random(seed)
    world = World("sync" if seed % 2 else "async")
    expected = World("sync" if seed % 2 else "async")
    wanted, _ = expected.live()
    with using(world.broker):
        Worker(world.broker, registry=world.registry)
        run = world.flow.options(id="run").delay()
        run.signal("picked", "up")
        for _ in range(400):
            mortal = Mortal(world.broker, draw.randint(1, 12), draw.choice(["before", "after"]))
            with suppress(Died):
                worker = Worker(mortal, registry=world.registry)
                while worker.step(limit=draw.randint(1, 4)):
                    pass
                worker.tend()
            if run.ready:
                break
            world.clock.advance(31)
        assert run.state in ("done", "failed")
        if (
            run.state == "done"
        ):  # a queue's redrive policy is the net under what dies again and again
            assert run.get(0) == wanted
            assert world.journal() == expected.journal()
