"""`taskflow queues`."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import taskflow
from taskflow import Broker
from taskflow.broker import Finish, QueueSettings, WorkerReport
from taskflow.message import Message
from taskflow.worker.orders import told_to

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def busy(broker: Broker) -> None:
    """`work` holds one of each kind, and has handled one and given up one."""
    broker.create_queue("work-dlq")
    broker.create_queue("work", QueueSettings(dead_letter_queue="work-dlq", max_receives=5))
    broker.send("work", [Message(str(number), "x") for number in range(4)])
    held = broker.receive("work", limit=3)
    broker.delete([Finish(held[0])])
    broker.dead_letter([(held[1], "{}")])
    broker.send("work", [Message("late", "x", {}, 3600)])


def test_json_is_a_list_of_objects(run: Run) -> None:
    found = {one.pop("name"): one for one in json.loads(run("queues", "--json").output)}
    assert list(found) == ["plain", "work", "work-dlq"]
    assert found["work"]["oldest_age_seconds"] >= 0
    expected = {"visible": 1, "in_flight": 1, "delayed": 1, "handled": 1, "dead_lettered": 1}
    assert expected.items() <= found["work"].items()
    assert found["plain"]["oldest_age_seconds"] == 0.0


def test_the_table_has_a_line_for_each_queue(run: Run) -> None:
    heads, *lines = run("queues").output.splitlines()
    words = "QUEUE VISIBLE IN FLIGHT DELAYED OLDEST(S) DUE(S) HANDLED DEAD-LETTERED EXPIRED STATE"
    assert heads.split() == words.split()
    name, visible, in_flight, delayed, _, _, handled, dead, expired = lines[1].split()
    shown = [name, visible, in_flight, delayed, handled, dead, expired]
    assert shown == ["work", "1", "1", "1", "1", "1", "0"]
    assert len({len(line) for line in lines}) == 1, "columns are aligned"


def test_a_paused_queue_is_shown_as_such_until_it_is_resumed(run: Run) -> None:
    assert run("pause", "work").output == "paused work\n"
    assert run("queues").output.splitlines()[2].split()[-1] == "paused"
    assert json.loads(run("queues", "--json").output)[1]["paused"] is True
    assert run("resume", "work").output == "resumed work\n"
    assert "paused" not in run("queues").output


def test_pausing_an_unknown_queue_names_the_nearest(run: Run) -> None:
    result = run("pause", "wrk")
    assert (result.exit_code, "did you mean 'work'" in result.stderr) == (2, True)


def test_without_queues_it_says_who_makes_them(run: Run) -> None:
    result = run("queues", "--broker", "memory://")
    assert result.output == "no queues; a worker declares them\n"
    assert run("queues", "--json", "--broker", "memory://").output == "[]\n"


@pytest.mark.slow
def test_watch_shows_it_again_until_interrupted() -> None:
    root = str(Path(taskflow.__file__).parent.parent)
    command = [
        sys.executable,
        "-m",
        "taskflow.cli",
        "queues",
        "--json",
        "--watch",
        "--every",
        "0.1",
    ]
    with subprocess.Popen(
        command, env={"PYTHONPATH": root}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watching:
        assert watching.stdout is not None
        assert [len(json.loads(watching.stdout.readline())) for _ in range(3)] == [3, 3, 3]
        watching.send_signal(signal.SIGINT)
        _, said = watching.communicate(timeout=15)
    assert "Traceback" not in said
    assert watching.returncode == 0, "an interrupt is the way to end it"


def test_a_worker_is_told_to_pause_resume_and_drain(run: Run, broker: Broker) -> None:
    broker.report(WorkerReport("w1", "mail-1", 7, ("work",), 1000.0, 0, 8, {}, []))
    assert run("workers", "pause", "mail-1:7").output.startswith("mail-1:7 takes nothing new")
    assert told_to(broker, "w1") == "pause"
    run("workers", "resume", "w1")
    assert told_to(broker, "w1") == ""
    run("workers", "drain", "mail-1:7")
    assert told_to(broker, "w1") == "drain"
    assert "there are: mail-1:7" in run("workers", "drain", "mail-1:8").stderr
    assert "ready" in run("workers").output
