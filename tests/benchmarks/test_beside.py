"""`python -m benchmarks --beside`: what it makes of samples, and which taskflow is measured."""

import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import origin, report
from benchmarks.comparison import Comparison, alternated
from benchmarks.figure import Figure, figures
from benchmarks.results import Results
from benchmarks.tree import Tree
from benchmarks.wire import __main__ as wire

CHECK = "from benchmarks import origin; origin.check(); import taskflow; print(taskflow.MARK)"


@pytest.fixture
def other(tmp_path: Path) -> Path:
    package = tmp_path / "taskflow"
    package.mkdir()
    (package / "__init__.py").write_text("MARK = 'the other'\n")
    (tmp_path / "benchmarks").mkdir()
    return tmp_path


def run(environment: dict[str, str], cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", CHECK],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def compared(metric: str, now: list[float], before: list[float]) -> str:
    results = Results({})
    for name, values in (("taskflow", now), ("taskflow-before", before)):
        for number, value in enumerate(values, 1):
            results.add(number, "b", name, {metric: value})
    return Comparison(results, ["taskflow"], [Figure("b", metric)]).markdown()


def test_a_rate_that_fell_is_below() -> None:
    table = compared("one_rate", [90.0, 95.0, 80.0], [100.0, 90.0, 110.0])
    assert "| taskflow | (b) | one_rate | 0.900 | 0.73–1.06 | 3 | 100 | 90 | **below** |" in table
    assert "Below 0.95: taskflow (b) one_rate 0.900 of" in table


@pytest.mark.parametrize("metric", ["p50_ms", "one_cpu_per_1000", "peak_mb"])
def test_a_cost_that_fell_is_not(metric: str) -> None:
    table = compared(metric, [1.0, 2.0, 3.0], [2.0, 4.0, 6.0])
    assert "| 2.000 | 2.00–2.00 | 3 | 4 | 2 |  |" in table
    assert "Below 0.95: none of" in table


def test_a_round_counts_where_both_have_a_figure_and_failures_are_told() -> None:
    results = Results({})
    for number, now in ((1, {"one_rate": 1.0}), (2, {"failed": "no room"})):
        results.add(number, "b", "taskflow", now)
        results.add(number, "b", "taskflow-before", {"one_rate": float(number)})
    table = Comparison(results, ["taskflow"], [Figure("b", "one_rate")]).markdown()
    assert "| 1.000 | 1.00–1.00 | 1 | 1 | 1 |  |" in table
    assert "FAILED (b) taskflow, round 2: no room" in table


def test_nothing_spent_in_both_trees_is_no_change() -> None:
    assert Figure("g", "worker_share").ratio(0.0, 0.0) == 1
    assert Figure("g", "worker_share").ratio(0.0, 0.1) == float("inf")
    assert Figure("g", "worker_share").ratio(0.1, 0.0) == 0


def test_counts_are_not_figures() -> None:
    found = {figure.metric for figure in figures(report.TABLES)}
    assert found >= {"rate", "one_rate", "batches_rate", "p50_ms", "worker_share", "startup"}
    assert not found & {"jobs", "lost", "run_twice"}


def test_each_tree_goes_first_every_other_round() -> None:
    assert [alternated(["now", "before"], number)[0] for number in (1, 2, 3)] == [
        "now",
        "before",
        "now",
    ]


def test_processes_have_the_package_of_the_tree_and_our_benchmarks(
    other: Path, tmp_path: Path
) -> None:
    with Tree(other) as tree:
        done = run(tree.environment, tmp_path)
    assert (done.stdout, done.stderr) == ("the other\n", "")


def test_a_process_with_another_package_refuses(other: Path) -> None:
    with Tree(other) as tree:
        wrong = tree.environment | {"PYTHONPATH": str(Path(origin.__file__).parents[1])}
        done = run(wrong, Path(wrong["PYTHONPATH"]))
    assert "ImportError: not the taskflow that is to be measured" in done.stderr


@pytest.mark.parametrize("parse", [command.parse, wire.parse])
@pytest.mark.parametrize(
    ("wrong", "words"),
    [([], "no package taskflow in"), (["--into", "results"], "--beside is only printed")],
)
def test_the_command_refuses(
    parse: Callable[[list[str]], Namespace],
    wrong: list[str],
    words: str,
    other: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = other if wrong else other / "benchmarks"
    with pytest.raises(SystemExit):
        parse(["--beside", str(folder), *wrong])
    assert words in capsys.readouterr().err


def test_beside_another_tree_only_ours_take_part(other: Path) -> None:
    assert command.parse(["--beside", str(other)]).peers == command.OURS
    assert wire.parse(["--beside", str(other)]).servers == wire.OURS
    assert command.parse(["--beside", str(other)]).into is None
    assert command.parse([]).into
