"""SQLite compiles what a message and a run go through once, not each time."""

import apsw
import pytest

from taskflow.broker import Finish
from taskflow.broker.change import Change, Put
from taskflow.broker.record import RecordQuery
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.message import Message
from taskflow.stores.sqlite.store import SqliteStore
from taskflow.testing import ManualClock


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the connections of this test ask an authorizer for, which SQLite does as it compiles."""
    asked: list[int] = []

    def hook(connection: apsw.Connection) -> None:
        def note(code: int, *what: object) -> int:
            asked.append(code)
            return apsw.SQLITE_OK

        connection.authorizer = note

    monkeypatch.setattr(apsw, "connection_hooks", [hook])
    return asked


def test_a_message_and_a_record_are_compiled_once(compiled: list[int]) -> None:
    clock = ManualClock()
    broker = StoredBroker(SqliteStore(None, durable=False), clock=clock)
    broker.create_queue("work")

    def way(count: int) -> None:
        keys = [f"{clock.now()}/{number}" for number in range(count)]
        broker.send("work", [Message(key, "x") for key in keys])
        deliveries = broker.receive("work", limit=count)
        puts = [Put(kind="run", key=key, value="{}", expected=0, due_at=1.0) for key in keys]
        finished = [Finish(one) for one in deliveries]
        broker.apply([Change(records=puts, settlements=finished)])
        assert broker.list_records(RecordQuery(kind="run", order="due", limit=10)).records
        assert broker.waiting("work", 5) == 0
        clock.advance(1)

    for count in (2, 1):
        way(count)
        assert compiled
        way(count)
        compiled.clear()
        way(count)
        assert not compiled
