"""Random applications, each with a random history under random faults, against plain Python.

A history that fails is told with its seed and the fewest faults that do. Those that failed once are
kept in KEPT.
"""

import os
from collections import Counter
from random import Random
from typing import Any, NamedTuple

import pytest

from taskflow import Registry, RetryPolicy, every, publish, task
from taskflow.event import Context
from taskflow.tasks.result import Result
from taskflow.tasks.task import Task
from taskflow.tasks.task_context import TaskContext
from taskflow.tasks.task_engine import TaskEngine
from taskflow.testing import Sim
from taskflow.testing.simulation.trial import Trial, on_trial
from taskflow.testing.simulation.trials import Chaos, Failure

HISTORIES = int(os.environ.get("TASKFLOW_HISTORIES", "120"))  # `make histories` takes thousands
KEPT: list[int] = []
INTERVAL, SPARE = 600, 300  # seconds; that many before and after the last tick
POLICY = RetryPolicy(retries=6, backoff=2.0)


class Unlucky(Exception):
    """What a handler raises where its payload says so."""


class Call(NamedTuple):
    """Of the task, or an event of `topic`: it fails so often, takes so many seconds, and comes
    after a delay. `key` is one of few."""

    topic: str | None
    number: int
    fails: int
    takes: float
    delay: float
    key: str | None

    @property
    def payload(self) -> dict[str, Any]:
        return {"number": self.number, "fails": self.fails, "takes": self.takes}


class History:
    """An application, and what is done to it."""

    def __init__(self, seed: int | str) -> None:
        draw = self._draw = Random(f"history {seed}")
        self.calls = [self._call(number) for number in range(draw.randint(1, 8))]
        self.ticks = draw.choice([0, 0, 3])
        self.workers = draw.choice([1, 2, 4])
        self.attempts: Counter[int] = Counter()
        self.done: dict[str, list[int]] = {"plain": [], "ordered.fifo": [], "work": [], "after": []}
        self.ticked: list[float] = []
        self.results: dict[int, Result[Any]] = {}

    def _call(self, number: int) -> Call:
        draw = self._draw
        topic = draw.choice([None, None, "plain", "ordered.fifo"])
        fails = draw.choice([0, 0, 0, 1, 2, 9])
        takes = draw.choice([0, 0, 0, 5, 70])
        delay = 0.0 if topic == "ordered.fifo" else draw.choice([0, 0, 10, 3000])
        key = draw.choice([None, None, "a", "b"]) if topic is None else None
        return Call(topic, number, fails, takes, delay, key)

    # ---- the application ----------------------------------------------------------------------
    def application(self) -> tuple[Registry, Task[..., int]]:
        registry = Registry()

        def work(name: str, call: dict[str, Any]) -> None:
            number = call["number"]
            self.attempts[number] += 1
            if call["takes"]:
                self.sim.advance(call["takes"])
            if call["fails"] == 9 or self.attempts[number] <= call["fails"]:
                raise Unlucky
            self.done[name].append(number)

        @registry.subscribe("plain", queue="plain", policy=POLICY)
        def plain(call: dict[str, Any]) -> None:
            work("plain", call)

        @registry.subscribe("ordered.fifo", queue="ordered.fifo", policy=POLICY)
        def ordered(call: dict[str, Any]) -> None:
            work("ordered.fifo", call)

        @task(registry=registry, queue="work", policy=POLICY, result="30d")
        def run(call: dict[str, Any]) -> int:
            publish("after", call["number"])
            work("work", call)
            return int(call["number"]) * 2

        @registry.subscribe("after", queue="after", policy=POLICY)
        def after(number: int, ctx: Context) -> None:
            self.done["after"].append(number)

        if self.ticks:

            @every(INTERVAL, overlap="allow", missed="all")
            @task(registry=registry, queue="ticks", policy=POLICY)
            def tick(ctx: TaskContext) -> None:
                assert ctx.tick is not None
                self.ticked.append(ctx.tick)

        return registry, run

    # ---- what happens -------------------------------------------------------------------------
    def play(self) -> None:
        registry, run = self.application()
        with Sim(registry, workers=self.workers) as self.sim:
            self.sim.expect(Unlucky)
            for call in self.calls:
                if call.topic is None:
                    options = run.options(delay=call.delay)
                    if call.key is not None:
                        options = run.options(delay=call.delay, key=call.key)
                    self.results[call.number] = options.delay(call.payload)
                else:
                    group = "g" if call.topic == "ordered.fifo" else None
                    self.sim.publish(call.topic, call.payload, delay=call.delay, group=group)
            self.sim.run_until_idle()
            if self.ticks:
                begin = self.sim.clock.now() // INTERVAL * INTERVAL
                until = begin + self.ticks * INTERVAL + SPARE
                self.sim.run_for(max(0.0, until - self.sim.clock.now()))
                self.sim.run_until_idle()
            self.check()

    # ---- what plain Python makes of it --------------------------------------------------------
    def check(self) -> None:
        made: list[Call] = []  # of several under one key, the first alone
        for call in self.calls:
            if call.key is None or all(call.key != other.key for other in made):
                made.append(call)
        lucky = [one for one in made if one.fails != 9]
        for name in ("plain", "ordered.fifo", "work"):
            expected = [one.number for one in lucky if (one.topic or "work") == name]
            assert sorted(set(self.done[name])) == expected, name
        self._check_order()
        runs = [one.number for one in lucky if one.topic is None]
        sent = sorted(one.payload for one in self.sim.outbox if one.topic == "after")
        assert sent == runs, "what a task sends is sent with its success, once"
        assert sorted(set(self.done["after"])) == runs
        self._check_results(made)
        letters = sorted(one.queue for one in self.sim.letters())
        assert letters == sorted(one.topic or "work" for one in made if one.fails == 9)
        if self.ticks:
            first = (self.sim.start // INTERVAL + 1) * INTERVAL
            last = (self.sim.clock.now() - 60) // INTERVAL * INTERVAL
            ticks = {first + n * INTERVAL for n in range(int((last - first) // INTERVAL) + 1)}
            assert ticks <= set(self.ticked) <= {*ticks, last + INTERVAL}

    def _check_order(self) -> None:
        first = list(dict.fromkeys(self.done["ordered.fifo"]))
        assert first == sorted(first), "a group goes in order"

    def _check_results(self, made: list[Call]) -> None:
        for call in made:
            if call.topic is None:
                result = self.results[call.number]
                assert result.created
                assert result.state == ("failed" if call.fails == 9 else "done")
                if call.fails != 9:
                    assert result.get(0) == 2 * call.number
        for number, result in self.results.items():
            if number not in [one.number for one in made]:
                assert not result.created


def run(trial: Trial) -> Failure | None:
    """One history; how it failed."""
    try:
        with on_trial(trial):
            History(trial.seed).play()
    except Exception as error:
        return Failure(type(error).__name__, error)
    return None


@pytest.mark.parametrize("part", range(4))
@pytest.mark.slow
def test_any_history_ends_as_plain_python_says(part: int) -> None:
    seeds = [*(KEPT if part == 0 else ()), *range(part, HISTORIES, 4)]
    finding = Chaos(seeds).search(run)
    if finding is not None:
        finding.failure.told.add_note(finding.text)
        raise finding.failure.told


def test_the_model_holds_without_faults() -> None:
    for seed in range(20):
        assert run(Trial(seed)) is None


def test_what_is_wrong_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TaskEngine, "begin", lambda self, found, broker: None)
    finding = Chaos(range(20)).search(run)
    assert finding is not None, "what a task sends is sent at once, and again at its next attempt"
    assert "what a task sends is sent with its success, once" in str(finding.failure.told)
