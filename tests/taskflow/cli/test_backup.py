"""`taskflow backup`."""

import json
from collections.abc import Callable

from click.testing import Result

from taskflow import Broker, open_broker
from taskflow.message import Message

Run = Callable[..., Result]


def test_the_copy_holds_what_the_broker_held(run: Run, broker: Broker) -> None:
    broker.send("plain", [Message("1", "x")])
    assert run("backup", "copy.db").output.startswith("copied to copy.db (")
    assert json.loads(run("backup", "copy-2.db", "--json").output)["bytes"] > 0
    broker.purge("plain")
    copy = open_broker("sqlite:///copy.db", create=False)
    assert [one.id for one in copy.peek("plain")] == ["1"]
    copy.close()


def test_what_has_no_file_is_refused_with_what_to_do(run: Run, broker: Broker) -> None:
    assert "exists; a backup is a new file" in run("backup", "taskflow.db").output
    found = run("backup", "copy.db", "--broker", "postgresql://shop:secret@db/shop")
    assert (found.exit_code, "pg_dump" in found.output, "secret" in found.output) == (
        2,
        True,
        False,
    )
    assert "in memory" in run("backup", "copy.db", "--broker", "memory://").output
