"""One seed is one history, byte for byte, on every Python and under any hash order: some are kept.

A change of taskflow may change them: `TASKFLOW_KEEP_HISTORIES=1 pytest` on this file writes them
anew, and the difference shows what happens otherwise now. A Python that alone differs breaks a
promise.
"""

import logging
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from taskflow import AsyncRun, Registry, RetryPolicy, Run, chain, every, group, task, workflow
from taskflow.event import Context
from taskflow.testing import Faults, Sim
from taskflow.testing.simulation.fault_rates import CHAOS
from taskflow.testing.simulation.trial import Trial, on_trial
from tests.model import test_simulation, test_workflows

KEPT = Path(__file__).parent / "kept_histories"
WRITES = "TASKFLOW_KEEP_HISTORIES" in os.environ
MANY = 5  # seeds of each model
ROUGH = Faults(crashes=0.2, stalls=0.1, duplicates=0.2, errors=0.1, delays=0.3, clock_steps=0.05)


class Unlucky(Exception):
    """What a handler raises at first."""


def events() -> str:
    """Events that fail, in order and not, with dead letters."""
    registry = Registry()

    @registry.subscribe("made", queue="work", policy=RetryPolicy(retries=5))
    def work(number: int, ctx: Context) -> None:
        if ctx.attempt <= number % 4:
            raise Unlucky

    @registry.subscribe("made.fifo", queue="work.fifo", policy=RetryPolicy(retries=2))
    def ordered(number: int, ctx: Context) -> None:
        if number % 3 == 0:
            raise Unlucky

    with Sim(registry, seed=31, faults=ROUGH, workers=3) as sim:
        sim.expect(Unlucky)
        for number in range(8):
            sim.publish("made", number, delay=number % 3 * 10)
            sim.publish("made.fifo", number, group="ab"[number % 2])
        sim.run_until_idle()
        return _told(sim)


def tasks() -> str:
    """Plans of tasks, and a schedule."""
    registry = Registry()

    @task(registry=registry, name="add", queue="work", retries=9, result="1d")
    def add(x: int, y: int) -> int:
        return x + y

    @task(registry=registry, name="add_soon", queue="work", retries=9, result="1d")
    async def add_soon(x: int, y: int) -> int:
        return x + y

    @every("10m")
    @task(registry=registry, name="tick", queue="ticks", retries=9)
    def tick() -> None:
        add.options(delay=30).delay(0, 0)

    with Sim(registry, seed="32", faults=ROUGH, workers=2) as sim:
        results = [
            chain(add.s(1, 2), add_soon.s(3), add.s(4)).delay(),
            group(add.s(n, n) if n % 2 else add_soon.s(n, n) for n in range(5)).delay(),
        ]
        sim.run_for("35m")
        sim.run_until_idle()
        return _told(sim, *(one.get(0) for one in results))


def workflows() -> str:
    """A workflow with what is drawn and asked in it, and one of coroutines."""
    registry = Registry()

    @task(registry=registry, name="double", queue="work", retries=9)
    def double(number: int) -> int:
        return 2 * number

    @workflow(registry=registry, name="inner", queue="flows", retries=9)
    async def inner(number: int, ctx: AsyncRun) -> list[Any]:
        await ctx.sleep("1h")
        both = await ctx.gather(double.s(number), ctx.step(int, number))
        return [both, ctx.random(), str(ctx.uuid()), ctx.now()]

    @workflow(registry=registry, name="outer", queue="flows", retries=9)
    def outer(ctx: Run) -> list[Any]:
        heard = ctx.wait("heard", timeout="30d")
        return [ctx.random(), heard, ctx.map(double, range(4), limit=2), ctx.call(inner, 3)]

    with Sim(registry, seed=33, faults=ROUGH) as sim:
        run = outer.options(id="run").delay()
        sim.run_for("2h")
        sim.signal("run", "heard", {"a": 1})
        sim.run_until_idle()
        return f"{_told(sim, run.get(0))}\n{sim.journal(run)}"


def many() -> str:
    """Of each of the random applications and workflows of the models, a digest of its history."""
    lines = []
    for seed in range(MANY):
        with on_trial(Trial(seed, CHAOS)) as trial:
            test_simulation.History(seed).play()
        for name, text in (("events", trial.history()), ("workflow", test_workflows.live(seed))):
            lines.append(f"{name} {seed} {sha256(text.encode()).hexdigest()[:16]}")
    return "\n".join(lines)


def _told(sim: Sim, *results: Any) -> str:
    """The history, with all that a seed should decide."""
    sent = [f"sent {one.id} {one.topic} {one.payload}" for one in sim.outbox]
    letters = [f"letter {one.id} {one.reason}" for one in sim.letters()]
    return "\n".join([sim.history(), *sent, *letters, *map(repr, results)])


@pytest.mark.parametrize("tell", [events, tasks, workflows, many])
def test_a_history_is_as_it_was_kept(
    tell: Callable[[], str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    told = f"{tell()}\n"
    kept = KEPT / f"{tell.__name__}.txt"
    if WRITES:
        kept.write_text(told)
    assert told == kept.read_text(), "see the first lines of this file"
