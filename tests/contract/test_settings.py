"""Settings, times and tags of queues and topics, given back as they were; and what is deleted."""

from collections.abc import Callable

import pytest

from taskflow.broker import Broker, Finish
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.errors import QueueNotFound
from taskflow.message import Message
from taskflow.stores.postgres.store import PostgresStore
from taskflow.stores.sqlite.store import SqliteStore
from taskflow.testing.contract.admin.settings import *


# ---- delete ---------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["work", "work.fifo"])
def test_a_deleted_queue_leaves_no_row(
    request: pytest.FixtureRequest,
    broker: Broker,
    queue: str,
    fifo: str,
    name: str,
    send: Callable[..., object],
) -> None:
    assert isinstance(broker, StoredBroker)
    empty = _rows(broker, request)
    broker.publish("made", [Message("1", "x"), Message("2", "x"), Message("3", "x")])
    send("a1", "a2", "b1")
    other = "work" if name == "work.fifo" else "work.fifo"
    done, *_ = broker.receive(name, limit=2, attempt="try")
    broker.delete([Finish(done, remember=1000)])
    broker.tag_queue(name, {"a": "b"})
    broker.delete_queue(name)
    with pytest.raises(QueueNotFound):
        broker.delete_queue(name)
    assert name not in broker.queues()
    assert broker.counts(other).visible == 3
    broker.purge(other)
    left = _rows(broker, request)
    empty |= {table: empty[table] - 1 for table in ("queue", "total") if table in empty}
    assert left.pop("deduplication") == 3  # these end with time
    assert left | {"deduplication": 0} == empty


def _rows(broker: StoredBroker, request: pytest.FixtureRequest) -> dict[str, int]:
    """How many rows each table has."""
    store = broker.store
    if isinstance(store, PostgresStore):
        return request.getfixturevalue("postgres").count_rows()  # type: ignore[no-any-return]
    assert isinstance(store, SqliteStore)
    connection = store._database.connection
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
    names = [name for (name,) in tables if not name.startswith("sqlite_")]
    return {name: connection.execute(f"SELECT count(*) FROM {name}").get for name in names}
