"""The short chaos run, and what its seed fixes."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.__main__ import run
from tests.chaos.check import show
from tests.chaos.maker import repeats
from tests.chaos.older import taken_out
from tests.chaos.plan import KINDS, make_plan
from tests.postgres_server import MISSING, find


@pytest.mark.crash
def test_a_short_chaos_run_keeps_every_promise(tmp_path: Path) -> None:
    verdict, _ = run(600, 8, 11, tmp_path, say=False)
    print(show(verdict))
    assert verdict.violations == []
    assert verdict.table["kills"] >= 8
    assert verdict.table["lost"] == 0
    assert verdict.table["handled"] > 500


@pytest.mark.crash
def test_so_does_one_over_a_server_that_crashes_too(tmp_path: Path) -> None:
    if find("postgres") is None:
        pytest.skip(MISSING)
    verdict, _ = run(250, 3, 11, tmp_path, say=False, scheme="postgresql")
    print(show(verdict))
    assert verdict.violations == []
    assert verdict.table["lost"] == 0
    assert verdict.table["handled"] > 200


def test_an_older_framework_is_taken_out_of_history(tmp_path: Path) -> None:
    """For `--mixed`; the run itself takes half a minute and more, and is for a desk."""
    older = taken_out("HEAD", tmp_path / "older")
    where = "import taskflow, tests.chaos.worker; print(taskflow.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", where],
        cwd=older,
        env={"PYTHONPATH": str(older)},
        text=True,
        capture_output=True,
    )
    assert found.stdout == f"{older}/taskflow/__init__.py\n", found.stderr
    with pytest.raises(ValueError, match="'nosuch' is no revision that has a taskflow"):
        taken_out("nosuch", tmp_path / "none")


def test_a_seed_gives_one_plan() -> None:
    assert make_plan(2000, 50, 7) == make_plan(2000, 50, 7)
    assert make_plan(2000, 50, 7) != make_plan(2000, 50, 8)


def test_the_smallest_run_has_one_message_of_each_kind_and_every_fault() -> None:
    plan = make_plan(100, 3, 1)
    assert set(plan.kinds) == set(KINDS)
    assert {fault.what for fault in plan.faults} == {"kill", "stop", "lock", "disk"}


def test_the_long_run_is_as_long_as_it_says() -> None:
    plan = make_plan(100_000, 500, 1)
    assert len(plan.kinds) == 100_000
    assert sum(fault.what == "kill" for fault in plan.faults) == 500
    assert all(0 < fault.at < plan.seconds for fault in plan.faults)
    assert plan.kinds.count("kills") == 10


def test_toxic_messages_are_never_published_twice() -> None:
    plan = make_plan(500, 5, 3)
    again = [plan.kinds[number] for number in range(500) if repeats(plan, number)]
    assert len(again) > 100
    assert {KINDS[name].fate for name in again} == {"handled"}


@pytest.mark.crash
@pytest.mark.slow
def test_so_does_one_whose_broker_gets_other_numbers_of_files(tmp_path: Path) -> None:
    verdict, _ = run(250, 3, 11, tmp_path, say=False, scheme="sharded", reshards=3)
    print(show(verdict))
    assert verdict.violations == []
    assert verdict.table["lost"] == 0
    assert verdict.table["handled"] > 200
