"""`taskflow worker`'s flags for processes and bursts; `workers`, `top`; progress of long work."""

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import taskflow
from taskflow import Broker, SystemClock
from taskflow.broker import WorkerReport

Run = Callable[..., Result]
WAIT = 30.0


def eventually(holds: Callable[[], bool]) -> None:
    clock, pause = SystemClock(), threading.Condition()
    until = clock.now() + WAIT
    with pause:
        while not holds():
            assert clock.now() < until
            clock.wait(pause, 0.02)


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    root = str(Path(taskflow.__file__).parent.parent)
    return subprocess.Popen(
        [sys.executable, "-m", "taskflow.cli", "worker", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": root},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_a_burst_handles_what_is_due_and_exits_0(run: Run, folder: Path) -> None:
    for number in range(3):
        run("publish", "order.created", str(number), "-m", "shop")
    with start(folder, "audit", "-m", "shop", "--burst", "--concurrency", "1") as worker:
        out, _ = worker.communicate(timeout=WAIT)
    assert worker.returncode == 0
    assert sorted(out.splitlines()) == ["recorded 0", "recorded 1", "recorded 2"]


@pytest.mark.slow
def test_a_burst_of_several_processes_exits_0(run: Run, folder: Path) -> None:
    run("publish", "order.created", "1", "-m", "shop")
    with start(folder, "audit", "-m", "shop", "--burst", "--processes", "2") as worker:
        out, _ = worker.communicate(timeout=WAIT)
    assert (worker.returncode, out) == (0, "recorded 1\n")


@pytest.mark.slow
def test_a_worker_is_alive_ready_listed_and_writes_its_heartbeat(run: Run, folder: Path) -> None:
    run("publish", "order.created", "1", "-m", "shop")
    beat = folder / "beat.json"
    flags = ["--health-port", "0", "--heartbeat-file", str(beat), "--concurrency", "3"]
    with start(folder, "audit:2", "mails", "-m", "shop", *flags) as worker:
        assert worker.stderr is not None
        line = worker.stderr.readline()
        url = line[line.index("http://") :].strip()
        assert worker.stdout is not None
        assert worker.stdout.readline() == "recorded 1\n"
        with urllib.request.urlopen(url, timeout=WAIT) as response:
            assert json.load(response) == {"ok": True, "reasons": []}
        eventually(lambda: beat.exists() and json.loads(beat.read_text())["live"] is True)
        eventually(lambda: run("workers", "--json").output != "[]\n")
        (found,) = json.loads(run("workers", "--json").output)
        assert (found["pid"], found["queues"], found["slots"]) == (
            worker.pid,
            ["audit", "mails"],
            3,
        )
        assert str(worker.pid) in run("workers").output
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=WAIT)
    assert worker.returncode == 0
    assert run("workers").output == "no worker has reported within 30 s\n"


def test_a_heartbeat_file_is_for_one_process(run: Run) -> None:
    result = run("worker", "audit", "-m", "shop", "-p", "2", "--heartbeat-file", "x")
    assert (result.exit_code, "--health-port" in result.stderr) == (2, True)


@pytest.mark.parametrize("weight", ["audit:0", "audit:-1", "audit:x", "audit:inf"])
def test_a_bad_weight_exits_2(run: Run, weight: str) -> None:
    result = run("worker", weight, "-m", "shop")
    assert (result.exit_code, "example: critical:6" in result.stderr) == (2, True)


@pytest.mark.parametrize("size", ["0", "x", "5X", "-1M", ""])
def test_a_bad_size_exits_2(run: Run, size: str) -> None:
    result = run("worker", "audit", "-m", "shop", "--max-memory", size)
    assert (result.exit_code, "512M, 2G" in result.stderr) == (2, True)


def test_top_shows_queues_handlers_and_failures(run: Run, broker: Broker) -> None:
    broker.create_queue("work")
    broker.pause("work")
    totals = {"runs": 4.0, "failed": 1.0, "skipped": 2.0, "seconds": 0.2, "most": 0.1}
    failure = {
        "at": 1.0,
        "queue": "work",
        "handler": "shop.slow",
        "outcome": "retry",
        "error": "ValueError",
        "event": "e-1",
    }
    broker.report(
        WorkerReport("w", "host", 1, ("work",), 0.0, 1, 8, {"shop.slow": totals}, [failure])
    )
    shown = run("top", "--count", "1").output
    assert "work (paused)" in shown
    assert ["shop.slow", "4", "1", "2", "50.0", "100.0"] in [
        line.split() for line in shown.splitlines()
    ]
    assert "ValueError" in shown
    assert "1970-01-01T00:00:01" in shown


def test_top_shows_why_a_worker_has_its_slots(run: Run, broker: Broker) -> None:
    why = "threads 4 to 8: 41 or more wait, 300 ms each"
    report = WorkerReport("w", "host", 17, ("work", "mails"), 0.0, 3, 8, {}, [], scaling=why)
    assert "LAST CHANGE OF SLOTS" not in run("top", "--count", "1").output
    broker.report(report)
    shown = " ".join(run("top", "--count", "1").output.split())
    assert f"LAST CHANGE OF SLOTS host work,mails 17 3 8 {why} HANDLER" in shown
    (found,) = json.loads(run("workers", "--json").output)
    assert found["scaling"] == why


@pytest.mark.slow
def test_processes_have_the_bounds_each(run: Run, folder: Path) -> None:
    flags = ["--burst", "--processes", "2", "--concurrency", "2..4", "--async-concurrency", "3..9"]
    run("publish", "order.created", "1", "-m", "shop")
    with start(folder, "audit", "-m", "shop", *flags) as worker:
        out, error = worker.communicate(timeout=WAIT)
    assert (worker.returncode, out) == (0, "recorded 1\n")
    assert error.count("with 2..4 threads") == 2


def test_long_work_tells_its_progress_in_plain_lines(run: Run, broker: Broker) -> None:
    result = run("publish", "made", "1", "--create", "--count", "5000")
    assert result.output.splitlines()[-2:] == [
        "published 5000 events",
        "Warning: no queue subscribes to 'made': it went nowhere",
    ]
    lines = [line for line in result.stderr.splitlines() if line.startswith("publishing: ")]
    assert lines[0] == "publishing: 500 of 5000"
    assert lines[-1] == "publishing: 5000 of 5000"
    assert len(lines) == 10


def test_short_work_does_not(run: Run) -> None:
    assert "publishing:" not in run("publish", "made", "1", "--create", "--count", "900").stderr
