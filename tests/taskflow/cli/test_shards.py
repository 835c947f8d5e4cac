"""`taskflow shards`."""

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from taskflow import Broker, open_broker
from taskflow.broker import WorkerReport
from taskflow.brokers.sharded.marks import EVERY
from taskflow.message import Message
from taskflow.testing import ManualClock

Run = Callable[..., Result]
IDS = [f"n-{number}" for number in range(50)]


def test_a_plain_file_gets_others_once_it_is_closed_and_loses_them_again(
    run: Run, broker: Broker
) -> None:
    broker.send("plain", [Message(id, "x") for id in IDS])
    assert json.loads(run("shards", "--json").output)[0]["places"] == 1024
    assert "1 file" not in run("shards", "1").output, "it is one already"
    refused = run("shards", "3")
    assert (refused.exit_code, "some process has" in refused.output) == (1, True)
    broker.close()
    assert [line.split()[1] for line in run("shards", "3").output.splitlines()] == [
        *("PLACES", "342", "341", "341")
    ]
    assert run("shards", "3").exit_code == 0
    reopened = open_broker("sqlite:///taskflow.db")
    reported = WorkerReport("w", "h", 1, ("plain",), reopened.clock.now(), 0, 1, {}, [])
    reopened.report(reported)
    assert "1 workers of another release" in run("shards", "1").output
    assert sorted(one.id for one in reopened.peek("plain")) == sorted(IDS)
    assert len(json.loads(run("shards", "1", "--force", "--json").output)) == 1
    assert sorted(one.id for one in reopened.peek("plain")) == sorted(IDS)
    reopened.close()


def test_a_file_with_tables_of_the_application_stays_one(
    run: Run, broker: Broker, folder: Path
) -> None:
    broker.within(lambda sql: sql.execute("CREATE TABLE ledger (cents INTEGER)"))  # type: ignore[attr-defined]
    broker.close()
    refused = run("shards", "2")
    assert (refused.exit_code, "ledger in this file" in refused.output) == (2, True)
    assert "ctx.transaction_on" in refused.output
    assert not (folder / "taskflow.db.shard1").exists()
    assert run("shards", "1").exit_code == 0
    assert run("shards", "2", "--force").exit_code == 0


def test_who_has_nothing_but_an_older_copy_goes_on_with_it(
    run: Run, folder: Path, taskflow_clock: ManualClock
) -> None:
    address = "sqlite:///several.db?shards=2"
    other = folder / "several.db.shard1"
    for at in range(2):
        several = open_broker(address, clock=taskflow_clock)
        several.create_queue("plain")
        several.send("plain", [Message(f"{at}/{id}", "x") for id in IDS])
        for _ in range(3):
            taskflow_clock.advance(EVERY)
            several.upkeep()
        several.close()
        if not at:
            old = other.read_bytes()
    other.write_bytes(old)
    to_it = ("--broker", "sqlite:///several.db")
    refused = run("queues", *to_it)
    assert (refused.exit_code, "taskflow shards --take-older" in refused.output) == (1, True)
    assert len(run("shards", "--take-older", *to_it).output.splitlines()) == 3
    assert run("shards", "--take-older", *to_it).exit_code == 0
    again = open_broker(address, clock=taskflow_clock)
    assert 50 < again.counts("plain").visible < 100
    taskflow_clock.advance(EVERY)
    again.upkeep()
    again.close()
    assert run("queues", *to_it).exit_code == 0


def test_what_has_no_files_is_refused(run: Run) -> None:
    found = run("shards", "2", "--broker", "memory://")
    assert (found.exit_code, "has no files" in found.output) == (2, True)
    assert run("shards", "65").exit_code == 2
    assert "does not exist" in run("shards", "2").output
