"""`taskflow copy`."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from taskflow import Broker, open_broker
from taskflow.broker.change import Change, Put
from taskflow.broker.settings import QueueSettings
from taskflow.brokers.copying.copy import Copy
from taskflow.message import Message
from taskflow.tasks.preparing import put_run
from taskflow.tasks.run import Run as Kept
from taskflow.tasks.run_trees import RunTrees

Run = Callable[..., Result]
FROM, TO = "sqlite:///taskflow.db", "sqlite:///new.db"


@pytest.mark.slow
def test_what_waits_is_moved_and_the_rest_is_said(run: Run, broker: Broker, folder: Path) -> None:
    broker.create_queue("lanes.fifo")
    broker.send("plain", [Message(str(n), "x") for n in range(3)])
    runs = [
        put_run(state, Kept(task="shop.pay", queue="plain", keep=60, keep_failed=60), state, 0)
        for state in ("running", "scheduled")
    ]
    broken = Put(kind="run", key="r", value="{}", label="shop.pay", state="waiting")
    broker.apply([Change(records=[*runs, broken])])
    broker.receive("plain")
    dry = run("copy", FROM, TO, "--dry-run")
    assert dry.output.splitlines()[0].endswith("new.db is not there yet.")
    assert [line.split() for line in dry.output.splitlines()[1:4]] == [
        ["QUEUE", "TO", "MOVE", "IN", "FLIGHT"], ["lanes.fifo", "0", "0"], ["plain", "2", "1"]
    ]  # fmt: skip
    assert not (folder / "new.db").exists()
    assert [re.split(" {2,}", line) for line in dry.output.splitlines()[5:7]] == [
        ["RUNS OF", "TO MOVE", "IN FLIGHT", "TAKEN", "SCATTERED", "TOO LARGE", "UNREADABLE"],
        ["shop.pay", "1", "1", "0", "0", "0", "1"],
    ]

    done = run("copy", FROM, TO)
    assert (done.exit_code, done.stdout.splitlines()[2].split()) == (
        0,
        ["plain", "2", "0", "1", "0"],
    )
    assert done.stderr.splitlines() == [
        "What is in flight is left at FROM: repeat the command once it is finished there.",
        "UNREADABLE: their records cannot be read by this version, and are left at FROM.",
        "Paused at FROM, so that their order holds: lanes.fifo",
    ]
    moved = json.loads(run("copy", FROM, TO, "--queue", "plain", "--json").stdout)
    assert moved == [
        {"name": "plain", "moved": 0, "finished": 0, "in_flight": 1, "of_runs": 0},
        {"runs_of": "shop.pay", "moved": 0, "in_flight": 1, "taken": 0, "scattered": 0,
         "too_large": 0, "unreadable": 1},
    ]  # fmt: skip
    target = open_broker(TO)
    assert [one.id for one in target.peek("plain")] == ["1", "2"]
    target.close()
    assert run("copy", FROM, TO, "--wait", "0.01").exit_code == 124


def test_what_cannot_be_is_refused_in_one_line(run: Run, broker: Broker) -> None:
    other = open_broker(TO)
    other.create_queue("plain", QueueSettings(delay=9))
    other.close()
    found = run("copy", FROM, TO)
    assert (found.exit_code, found.output) == (
        2,
        "Error: nothing was copied, since TO has other declarations: queue 'plain': delay is 9, "
        "declared as 0\n",
    )
    assert "FROM is memory://" in run("copy", "memory://", TO).output
    assert run("copy", "sqlite:///none.db", TO).exit_code == 1
    assert "FROM and TO are one broker" in run("copy", FROM, FROM).output
    assert "did you mean 'plain'" in run("copy", FROM, TO, "-q", "plian").output


def test_a_copy_that_was_interrupted_is_said(run: Run, broker: Broker) -> None:
    kept = Kept(task="shop.pay", queue="plain", keep=60, keep_failed=60)
    broker.apply([Change(records=[put_run("r", kept, "scheduled", 0)])])
    (found,) = RunTrees().find(broker, None)
    target = open_broker(TO)
    Copy(broker, target).run()
    to = target.records("broker", ["id"])["id"].value
    target.close()
    assert broker.hand_out_trees("batch", to, [found.asked])  # type: ignore[attr-defined]
    said = "Runs are on their way since a copy was interrupted: repeat it."
    assert said in run("copy", FROM, TO, "--dry-run").stderr.splitlines()
    assert said not in run("copy", FROM, TO).stderr
    assert open_counts(TO) == {"scheduled": 1}


def open_counts(address: str) -> dict[str, int]:
    """How many runs there are, by state."""
    target = open_broker(address)
    try:
        return target.count_records("run")
    finally:
        target.close()
