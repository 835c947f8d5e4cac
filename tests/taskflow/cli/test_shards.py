"""`taskflow shards`."""

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from taskflow import Broker, open_broker
from taskflow.broker import WorkerReport
from taskflow.message import Message

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


def test_what_has_no_files_is_refused(run: Run) -> None:
    found = run("shards", "2", "--broker", "memory://")
    assert (found.exit_code, "has no files" in found.output) == (2, True)
    assert run("shards", "65").exit_code == 2
    assert "does not exist" in run("shards", "2").output
