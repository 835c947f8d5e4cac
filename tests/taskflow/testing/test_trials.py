"""Tests that are run again and again: @crash_matrix, @chaos, and --taskflow-chaos."""

import asyncio
import os
import re
import subprocess
import sys
import unittest
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from taskflow import Registry, publish, task
from taskflow.errors import BrokerUnavailable
from taskflow.testing import Faults, Sim, chaos, crash_matrix
from taskflow.testing.simulation.shrinking import MOST_RUNS, shortest
from taskflow.testing.simulation.trial import Trial, on_trial
from taskflow.testing.simulation.trials import Chaos, CrashMatrix, Failure


class Bank:
    """Outside of the simulation."""

    def __init__(self) -> None:
        self.charged: list[str] = []
        self.seen: set[str] = set()

    def charge(self, order: str, key: str | None = None) -> None:
        if key is not None:
            if key in self.seen:
                return
            self.seen.add(key)
        self.charged.append(order)


def shop(bank: Bank, *, keyed: bool) -> Registry:
    registry = Registry()

    @registry.subscribe("order.created", queue="payments")
    def charge(order: str) -> None:
        bank.charge(order, order if keyed else None)
        publish("order.paid", order)

    @registry.subscribe("order.paid", queue="mail")
    def tell(order: str) -> None: ...

    return registry


def sell(keyed: bool, orders: int = 1, **options: Any) -> Sim:
    bank = Bank()
    with Sim(shop(bank, keyed=keyed), **options) as sim:
        for number in range(orders):
            sim.publish("order.created", f"ord_{number:02}", delay=number)
        sim.run_until_idle()
        assert sorted(bank.charged) == [f"ord_{number:02}" for number in range(orders)]
        sim.assert_no_dead_letters()
    return sim


def run(test: Callable[[], object]) -> Callable[[Trial], Failure | None]:
    def once(trial: Trial) -> Failure | None:
        try:
            with on_trial(trial):
                test()
        except AssertionError as error:
            return Failure("AssertionError", error)
        return None

    return once


# ---- where a worker can die ---------------------------------------------------------------------
def test_the_points_are_noted_in_order() -> None:
    trial = Trial(0)
    with on_trial(trial):
        sell(keyed=True)
    points = [re.sub(r" of \S+\.", " of ", point) for point in trial.crash_points]
    assert points == [
        "crash before the handler of charge #1",
        "crash before a publish of charge #1",
        "crash after a publish of charge #1",
        "crash before the acknowledgement of charge #1",
        "crash after the acknowledgement of charge #1",
        "crash before the handler of tell #1",
        "crash before the acknowledgement of tell #1",
        "crash after the acknowledgement of tell #1",
    ]


def test_a_handler_that_is_not_idempotent_is_found() -> None:
    tried = 0

    @crash_matrix
    def test_it() -> None:
        nonlocal tried
        tried += 1
        sell(keyed=False)

    with pytest.raises(AssertionError) as caught:
        test_it()
    assert tried == 3
    assert "at crash point 2 of 8:\n  crash before a publish of " in caught.value.__notes__[-1]


def test_one_that_is_passes_at_every_point() -> None:
    tried = 0

    @crash_matrix
    def test_it() -> None:
        nonlocal tried
        tried += 1
        sell(keyed=True)

    test_it()
    assert tried == 9


def test_a_crash_is_no_exception_that_a_handler_can_swallow() -> None:
    registry = Registry()
    runs = []

    @registry.subscribe("made", queue="work")
    def work(event: Any) -> None:
        runs.append(event)
        try:
            sim.point("the middle")
        except BaseException:
            publish("made", event + 1)  # from the grave

    trial = Trial(0)
    with on_trial(trial), Sim(registry) as sim:
        sim.publish("made", 1)
        sim.run_until_idle()
    (point,) = [one for one in trial.crash_points if "crash at the middle" in one]
    runs.clear()
    with on_trial(Trial(0, only=[point])), Sim(registry) as sim:
        sim.publish("made", 1)
        sim.run_until_idle()
        assert [one.outcome for one in sim.attempts] == ["crashed", "done"]
    assert runs == [1, 1]


def test_a_message_without_an_attempt_to_spare_is_spared() -> None:
    registry = Registry()
    registry.subscribe("made", queue="work", retries=0)(lambda event: None)
    with Sim(registry, faults=Faults(crashes=1, duplicates=1, stalls=1, errors=1)) as sim:
        sim.publish("made", 1)
        sim.run_until_idle()
        sim.assert_delivered("work", times=1)
        assert [re.sub(" of .*", "", one) for one in sim.faults] == [
            "crash after the acknowledgement"
        ]


def test_a_checkpoint_is_a_point_before_and_after() -> None:
    from taskflow.broker.change import Change, Put

    registry = Registry()

    @task(registry=registry, queue="work")
    def step() -> None:
        (job,) = [one.job for one in sim._stage._workers if one.inside]
        assert job is not None
        put = Put(kind="note", key="n", value="1")
        sim.broker.apply([Change(fence=job.delivery, records=[put])])

    trial = Trial(0)
    with on_trial(trial), Sim(registry) as sim:
        step.delay()
        sim.run_until_idle()
    assert [re.sub(" of .*", "", one) for one in trial.crash_points][1:3] == [
        "crash before a checkpoint",
        "crash after a checkpoint",
    ]


# ---- the other faults ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    "faults",
    [
        Faults(crashes=0.3),
        Faults(stalls=0.5),
        Faults(duplicates=1),
        Faults(errors=0.5),
        Faults(delays=0.5),
        Faults(clock_steps=0.3),
    ],
    ids=["crashes", "stalls", "duplicates", "errors", "delays", "clock_steps"],
)
def test_each_kind_happens_and_harms_no_idempotent_handler(faults: Faults) -> None:
    sim = sell(keyed=True, orders=12, faults=faults)
    assert sim.faults


def test_everything_is_done_twice() -> None:
    registry = Registry()
    done: list[int] = []
    registry.subscribe("made", queue="work")(done.append)
    with Sim(registry, faults=Faults(duplicates=1)) as sim:
        for number in range(3):
            sim.publish("made", number)
        sim.run_until_idle()
        assert done == [0, 1, 2, 0, 1, 2]
        assert sim.timeline("work") == "; ".join(["0 s done"] * 3 + ["30 s done"] * 3)


def test_a_stalled_worker_and_another_have_the_same_message() -> None:
    registry = Registry()
    done: list[int] = []
    registry.subscribe("made", queue="work")(done.append)
    with Sim(registry, faults=Faults(stalls=1)) as sim:
        sim.publish("made", 1)
        sim.run_until_idle()
        assert {one.worker for one in sim.attempts} == {"worker-1", "worker-2"}
        assert sim.timeline("work") == "30 s done; 0 s done"
    with Sim(registry, faults=Faults(stalls=1), workers=1) as sim:
        sim.publish("made", 1)
        sim.run_until_idle()
        assert sim.faults == []


def test_a_broker_that_fails_within_a_handler_fails_the_attempt() -> None:
    sim = sell(keyed=True, orders=4, faults=Faults(errors=1))
    failed = [one for one in sim.attempts if one.outcome == "failed: BrokerUnavailable"]
    assert len(failed) == 4
    assert all(isinstance(one.error, BrokerUnavailable) for one in failed)


# ---- chaos, and what is told of it --------------------------------------------------------------
def test_chaos_tells_the_seed_and_the_fewest_faults_that_do() -> None:
    @chaos(runs=50, seed=7)
    def test_it() -> None:
        sell(keyed=False, orders=8)

    with pytest.raises(AssertionError) as caught:
        test_it()
    note = caught.value.__notes__[-1]
    found = re.search(r"^seed (\d+): (\d+) faults, of which (\d+) will do:\n  ", note)
    assert found, note
    assert int(found[1]) >= 7
    assert int(found[3]) == 1 < int(found[2])


def test_an_idempotent_handler_survives_chaos() -> None:
    @chaos(runs=8)
    def test_it() -> None:
        sell(keyed=True, orders=5)

    test_it()


def test_a_test_that_fails_anyhow_says_so() -> None:
    def fails() -> None:
        sell(keyed=True, orders=6)
        raise AssertionError

    finding = Chaos([1]).search(run(fails))
    assert finding is not None
    assert re.match(r"seed 1: \d+ faults, it fails without any", finding.text)
    finding = CrashMatrix().search(run(fails))
    assert finding is not None
    assert finding.text.startswith("without any fault\nsimulated 5 s, seed 0\n")


def test_what_cannot_be_tried_is_refused() -> None:
    @crash_matrix
    def test_nothing() -> None: ...

    with pytest.raises(AssertionError, match="no simulation: make a Sim in it"):
        test_nothing()
    with pytest.raises(ValueError, match=r"chaos\(runs=0\): a number of runs, 1 or more"):
        chaos(runs=0)

    @crash_matrix
    async def test_async() -> None: ...

    with pytest.raises(RuntimeError, match="is `async def`: pytest alone"):
        asyncio.run(test_async())


class Case(unittest.TestCase):
    """Run by the test below."""

    def setUp(self) -> None:
        self.bank = Bank()

    @crash_matrix
    def runTest(self) -> None:
        with Sim(shop(self.bank, keyed=True)) as sim:
            sim.publish("order.created", "ord_1")
            sim.run_until_idle()
            assert self.bank.charged == ["ord_1"]


def test_a_unittest_is_set_up_for_each_point() -> None:
    result = unittest.TestResult()
    Case().run(result)
    assert (result.testsRun, result.errors, result.failures) == (1, [], [])


@pytest.mark.parametrize("guilty", [{3}, {2, 9}, {0, 7, 15}, set(), set(range(16))])
def test_shrinking_finds_what_is_to_blame(guilty: set[int]) -> None:
    runs = 0

    def fails(faults: Sequence[str]) -> Sequence[str] | None:
        nonlocal runs
        runs += 1
        return faults if guilty <= set(map(int, faults)) else None

    found = shortest([str(one) for one in range(16)], fails)
    assert set(map(int, found)) == guilty
    assert runs <= MOST_RUNS


# ---- with pytest --------------------------------------------------------------------------------
USER_TESTS = """
import pytest
from taskflow import Registry
from taskflow.testing import crash_matrix

@pytest.fixture(scope="module")
def shared():
    yield []

@pytest.fixture
def charged(shared):
    shared.append(1)
    yield []

def shop(charged):
    registry = Registry()

    @registry.subscribe("order.created", queue="payments", retries=3)
    def charge(order: dict) -> None:
        charged.append(order["cents"])

    return registry

@crash_matrix
def test_matrix(taskflow_sim, charged):
    sim = taskflow_sim(shop(charged))
    sim.publish("order.created", {"cents": 100})
    sim.run_until_idle()
    assert charged == [100]

def test_chaos(taskflow_sim, charged):
    sim = taskflow_sim(shop(charged))
    for number in range(10):
        sim.publish("order.created", {"cents": number})
    sim.run_until_idle()
    assert sorted(charged) == list(range(10))

def test_without(charged):
    assert charged == []

def test_last(shared):
    print("runs", len(shared))
"""


def pytest_prints(folder: Path, *options: str, seed: str = "0") -> str:
    (folder / "test_user.py").write_text(USER_TESTS)
    (folder / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rP", "test_user.py", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONHASHSEED": seed},
    )
    return done.stdout


@pytest.mark.slow
def test_with_pytest_each_run_has_fixtures_of_its_own(tmp_path: Path) -> None:
    printed = pytest_prints(tmp_path)
    assert "1 failed, 3 passed" in printed
    assert "at crash point 2 of 3:\n  crash before the acknowledgement of test_user" in printed
    assert "runs 5\n" in printed  # clean, two of the matrix, two of the others
    assert "!! crash before the acknowledgement" in printed


@pytest.mark.slow
def test_a_suite_under_chaos_tells_how_to_see_it_again(tmp_path: Path) -> None:
    options = ("--taskflow-chaos=2", "-k", "test_chaos or without")
    first = pytest_prints(tmp_path, *options, "-n", "1", seed="1")
    assert "1 failed, 1 passed" in first
    assert "again: pytest --taskflow-chaos=2 'test_user.py::test_chaos'" in first
    second = pytest_prints(tmp_path, *options, seed="2")
    histories = [
        re.findall(r"^seed 2/.*?^again", printed, re.DOTALL | re.MULTILINE)
        for printed in (first, second)
    ]
    assert len(histories[0]) == 1
    assert histories[0] == histories[1]
