"""The workloads of tasks: who takes part, what is made of samples, and small runs of ours."""

import re
import time
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

import pytest

from benchmarks import __main__ as command
from benchmarks import plot, report, sender, task_workloads, workloads
from benchmarks.catalog import BY_NAME, PEERS, Peer
from benchmarks.results import Results
from benchmarks.sender import WARM_UP, Stopwatch
from benchmarks.session import BenchmarkError, Session
from benchmarks.targets import judge
from benchmarks.workloads import ONCE, QUICK, Sample, Size

OURS = BY_NAME["taskflow-tasks"]
TINY = Size(sends=5, calls=8, many=40, members=12, schedules=3, tasks=0.001)


def test_every_workload_has_a_title_a_table_and_a_way_to_run() -> None:
    tables = {letter for letter, _, _ in [*report.TABLES, *report.TASK_TABLES]}
    assert set(command.LETTERS) == set(command.TITLES) == tables | {"f"}
    assert set(command.RUN) == set(command.LETTERS) - {"g"}
    assert not workloads.RUN.keys() & task_workloads.RUN.keys()
    for peer in PEERS:
        assert set(peer.workloads) <= set(command.LETTERS), peer.name
    assert set(ONCE) <= set(command.LETTERS)


@pytest.mark.parametrize(
    ("letter", "peers"),
    [
        ("i", "taskflow taskflow-tasks celery-threads dramatiq huey-redis huey-sqlite taskiq"),
        ("k", "taskflow-tasks taskflow-tasks-power celery-threads dramatiq huey-redis"),
        ("m", "taskflow-tasks celery-threads dramatiq huey-redis huey-sqlite"),
        ("n", "taskflow-tasks"),
    ],
)
def test_who_takes_part(letter: str, peers: str) -> None:
    found = [peer.name for peer in PEERS if letter in peer.workloads]
    assert set(peers.split()) <= set(found)
    assert letter != "n" or found == ["taskflow-tasks"]


def test_all_are_measured_unless_some_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.parse([]).workloads == list("abcdefghijklmn")
    assert command.parse(["--workloads", "k,n"]).workloads == ["k", "n"]
    with pytest.raises(SystemExit):
        command.parse(["--workloads", "k,z"])
    assert "no workload 'z'; known: a" in capsys.readouterr().err


def test_a_quick_run_is_less_of_everything() -> None:
    full = Size()
    for name in ("tasks", "sends", "calls", "many", "members", "schedules"):
        assert 0 < getattr(QUICK, name) < getattr(full, name), name
    assert QUICK.calls > WARM_UP


def test_a_call_is_timed_until_the_next_one_is_asked_for() -> None:
    seconds: list[float] = []
    began = time.monotonic()
    jobs = list(sender.one_at_a_time(3, Stopwatch(), seconds))
    assert [number for number, _, _ in jobs] == [0, 1, 2]
    assert len(seconds) == 3
    assert all(one >= 0 for one in seconds)
    assert sum(seconds) <= time.monotonic() - began


def test_the_first_calls_are_left_out_of_the_spread() -> None:
    calls = [99.0] * WARM_UP + [0.5 * number for number in range(1, 102)]
    found = sender.spread(calls)
    assert found == {"p50_ms": 25_500, "p99_ms": 50_000, "max_ms": 50_500}


class Chords(ModuleType):
    """A peer whose chord answers at once."""

    def __init__(self, value: int) -> None:
        super().__init__("chords")
        self._value = value

    def chord(self, members: int, stored: Callable[[], None]) -> int:
        stored()
        return self._value


def test_a_chord_counts_only_if_its_body_got_all_results() -> None:
    found = sender.build_chord(Chords(6), 4)
    assert 0 <= found["stored"] <= found["wall"]
    with pytest.raises(SystemExit, match="the body was given 5; 6 was right"):
        sender.build_chord(Chords(5), 4)


def measured(samples: Iterable[tuple[str, str, Sample]]) -> Results:
    results = Results({})
    for letter, peer, sample in samples:
        results.runs[letter] = {"rounds": 1, "began": "today"}
        results.add(1, letter, peer, sample)
    return results


@pytest.mark.parametrize(
    ("letter", "ours", "theirs", "wanted"),
    [
        ("i", {"rate": 9_600.0}, {"rate": 1_000.0}, [0.95, 7]),
        ("j", {"rate": 9_000.0}, {"rate": 3_000.0}, [10_000, 4]),
        ("k", {"p50_ms": 2.0, "p99_ms": 5.0}, {"p50_ms": 1.0, "p99_ms": 9.0}, [2.3, 6]),
        ("l", {"many_rate": 70_000.0, "kept_rate": 19_000.0}, {}, [60_000, 20_000]),
        ("m", {"wall": 1.4, "rate": 7_000.0}, {"wall": 9.0, "rate": 600.0}, [1.5, 10]),
        ("n", {"last_ms": 1_200.0}, {}, [1_000]),
    ],
)
def test_the_targets_of_tasks(
    letter: str, ours: Sample, theirs: Sample, wanted: list[float]
) -> None:
    samples = [(letter, "taskflow-tasks", ours), (letter, "celery-threads", theirs)]
    if letter == "i":
        samples.append((letter, "taskflow", {"rate": 10_000.0}))
    verdicts = judge(measured(samples))
    assert [one.wanted for one in verdicts] == wanted
    met = {"i": [True, True], "j": [False, False], "l": [True, False], "n": [False]}
    assert [one.met for one in verdicts] == met.get(letter, [True, True])


def test_events_are_no_rival_of_tasks() -> None:
    rates = [("taskflow", 9.0), ("taskflow-tasks", 8.0), ("taskiq", 1.0), ("huey-sqlite", 7.0)]
    verdicts = judge(measured([("i", name, {"rate": rate}) for name, rate in rates]))
    assert [one.against for one in verdicts] == ["taskflow", "taskiq"]


def test_the_report_has_their_tables_after_those_of_events() -> None:
    samples = [
        ("n", "taskflow-tasks", {"schedules": 10_000, "last_ms": 812.0, "lost": 0}),
        ("b", "taskflow", {"one_rate": 1.0}),
    ]
    text = report.markdown(measured(samples))
    assert text.index("## (b)") < text.index("## (n) schedules that are due at one moment")
    assert "| taskflow's tasks, durability=process | 10,000 | none | none | 812 |" in text
    assert {letter for letter, _, _ in plot.PANELS} <= set(command.LETTERS)


@pytest.mark.slow
@pytest.mark.parametrize("letter", ["i", "j", "l", "m"])
def test_a_small_run_of_ours(letter: str) -> None:
    found = task_workloads.RUN[letter](OURS, TINY)
    columns = next(some for name, _, some in report.TASK_TABLES if name == letter)
    assert found.keys() >= {metric for _, metric, _ in columns}
    assert found.get("lost", 0) == found.get("run_twice", 0) == 0
    assert all(found[name] > 0 for name in found if name.endswith("rate"))


@pytest.mark.slow
def test_results_come_back_one_at_a_time() -> None:
    with Session(OURS, keep=True) as session:
        session.send("one", 2, 0)
        session.start(OURS.commands())
        session.wait_for(2)
        done = session.send("calls", 8)
        session.wait_for(10)
    assert 0 < done["p50_ms"] <= done["p99_ms"] <= done["max_ms"]


@pytest.mark.slow
def test_schedules_are_due_after_they_were_put() -> None:
    with Session(OURS) as session:
        done = session.send("schedules", 3)
        assert done["due"] > time.monotonic()
        assert done["put"] > 0


@pytest.mark.slow
def test_a_peer_without_chords_fails_by_its_last_words() -> None:
    events: Peer = BY_NAME["taskflow"]
    with Session(events) as session, pytest.raises(BenchmarkError, match="no attribute 'chord'"):
        session.send("chord", 3)


@pytest.mark.slow
def test_a_sender_without_end_is_told_without_its_command() -> None:
    said = re.escape("sender: no end of chord in time")
    with (
        Session(OURS, within=4.0, keep=True) as session,
        pytest.raises(BenchmarkError, match=f"^{said}$"),
    ):
        session.send("chord", 3)  # nobody works


def test_workloads_are_told_whether_results_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    class Asked(Session):
        def __init__(self, peer: Peer, within: float = 180.0, keep: bool = False) -> None:
            asked.append(keep)
            raise BenchmarkError("enough")

    monkeypatch.setattr(task_workloads, "Session", Asked)
    for letter in "ijklmn":
        with pytest.raises(BenchmarkError):
            task_workloads.RUN[letter](OURS, TINY)
    assert asked == [False, True, True, False, True, False]
