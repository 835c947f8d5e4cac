"""Many worn-out messages before a good one: it is found, in transactions of a bounded size."""

import pytest

from taskflow.broker import QueueSettings
from taskflow.broker.settings import Holding
from taskflow.brokers.stored import lending
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.message import Message
from taskflow.stores.sqlite.store import SqliteStore
from taskflow.testing import ManualClock

WORN, BOUND = 50, 10


@pytest.mark.parametrize("letters", [True, False], ids=["to the DLQ", "nowhere to go"])
@pytest.mark.parametrize("holding", [None, Holding()], ids=["a client", "a worker"])
@pytest.mark.parametrize("limit", [1, 10, WORN + 1])
def test_a_message_behind_them_is_received_at_once(
    monkeypatch: pytest.MonkeyPatch, letters: bool, holding: Holding | None, limit: int
) -> None:
    monkeypatch.setattr(lending, "MOST_GONE", BOUND)
    clock, store = ManualClock(), SqliteStore(None, durable=False)
    broker = StoredBroker(store, clock=clock)
    broker.create_queue("dead")
    broker.create_queue("work", QueueSettings(dead_letter_queue="dead", max_receives=1))
    broker.send("work", [Message(f"worn-{n}", "x") for n in range(WORN)])
    assert len(broker.receive("work", limit=WORN)) == WORN
    clock.advance(31)
    broker.send("work", [Message("good", "x")])
    if not letters:
        broker.delete_queue("dead")
    commits: list[int] = []
    store._database.connection.set_commit_hook(lambda: bool(commits.append(1)))  # type: ignore[func-returns-value]
    found = [one.id for one in broker.receive("work", limit=limit, holding=holding)]
    if letters:
        assert found == ["good"]
        assert broker.counts("dead").visible == WORN
        assert len(commits) >= WORN // max(BOUND, limit), "one transaction did it all"
    else:
        assert found, "they are lent again"
        assert set(found) <= {"good", *(f"worn-{n}" for n in range(WORN))}
    broker.close()


def test_a_worker_gets_all_it_may_have_beside_one_that_is_worn_out() -> None:
    """What the machine of tests/model found once: it got one of two."""
    clock = ManualClock()
    broker = StoredBroker(SqliteStore(None, durable=False), clock=clock)
    broker.create_queue("dead")
    broker.create_queue("work", QueueSettings(dead_letter_queue="dead", max_receives=1))
    broker.send("work", [Message("worn", "x")])
    assert broker.receive("work", holding=Holding())
    clock.advance(31)
    broker.send("work", [Message("1", "x"), Message("2", "x")])
    found = broker.receive("work", limit=2, holding=Holding())
    assert [one.id for one in found] == ["1", "2"]
    broker.close()
