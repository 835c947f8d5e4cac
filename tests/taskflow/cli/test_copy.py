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


def begin_copy(broker: Broker) -> str:
    """A run is on its way to TO; answers the id of that."""
    kept = Kept(task="shop.pay", queue="plain", keep=60, keep_failed=60)
    broker.apply([Change(records=[put_run("r", kept, "scheduled", 0)])])
    (found,) = RunTrees().find(broker, None)
    target = open_broker(TO)
    Copy(broker, target).run()
    to = target.records("broker", ["id"])["id"].value
    target.close()
    assert broker.hand_out_trees("batch", to, [found.asked])  # type: ignore[attr-defined]
    return to


def test_a_copy_that_was_interrupted_is_said(run: Run, broker: Broker) -> None:
    begin_copy(broker)
    said = (
        "Runs are on their way since a copy was interrupted: repeat it. "
        "(--give-up, where its TO is gone for good.)"
    )
    assert said in run("copy", FROM, TO, "--dry-run").stderr.splitlines()
    assert said not in run("copy", FROM, TO).stderr
    assert open_counts(TO) == {"scheduled": 1}


def test_a_copy_whose_target_is_gone_is_given_up_when_that_is_confirmed(
    run: Run, broker: Broker
) -> None:
    to = begin_copy(broker)
    assert "leave TO out" in run("copy", FROM, TO, "--give-up").output
    said = (
        f"1 runs or schedules, each with all that hangs on it, are on their way to the broker {to}."
    )
    assert said in run("copy", FROM, "--give-up", "--dry-run").stderr.splitlines()
    refused = run("copy", FROM, "--give-up", given="n\n")
    assert (refused.exit_code, broker.count_records("run")) == (1, {})
    assert "has them run twice" in refused.output
    done = run("copy", FROM, "--give-up", given="y\n")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1] == "1 are in use at FROM again"
    assert broker.count_records("run") == {"scheduled": 1}
    assert run("copy", FROM, "--give-up").output == "nothing is on its way\n"
    assert "Missing argument 'TO'" in run("copy", FROM).output


def test_what_is_given_up_and_stays_is_said(run: Run, broker: Broker) -> None:
    to = begin_copy(broker)
    kept = Kept(task="shop.pay", queue="plain", keep=60, keep_failed=60)
    broker.apply([Change(records=[put_run("r", kept, "scheduled", 0)])])
    found = run("copy", FROM, "--give-up", "--yes", "--json")
    assert json.loads(found.stdout) == [
        {"to": to, "batches": 1, "trees": 1, "back": 0, "stay": ["r"]}
    ]
    assert found.exit_code == 1
    assert "On their way still" in found.stderr


def open_counts(address: str) -> dict[str, int]:
    """How many runs there are, by state."""
    target = open_broker(address)
    try:
        return target.count_records("run")
    finally:
        target.close()
