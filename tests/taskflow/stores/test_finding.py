"""Finding messages and counting letters over SQLite: by which index, and how far it looks."""

import json
from pathlib import Path

import apsw
import pytest

from taskflow.broker import Finish, QueueSettings
from taskflow.broker.message_query import MessageQuery
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.message import Message
from taskflow.stores import finder
from taskflow.stores.sqlite.store import SqliteStore
from taskflow.testing import ManualClock


@pytest.fixture
def broker(tmp_path: Path) -> StoredBroker:
    """Two queues with 40 messages each, 20 dead letters of `work` and ten of its messages out."""
    store = SqliteStore(tmp_path / "broker.db", durable=False)
    made = StoredBroker(store, clock=ManualClock(1000.0))
    made.create_queue("dead")
    made.create_queue("work", QueueSettings(dead_letter_queue="dead", max_receives=9))
    made.create_queue("other")
    for at in range(60):
        made.send("work", [Message(f"w{at}", "x", group="g" if at % 30 == 0 else None)])
    for at in range(40):
        made.send("other", [Message(f"o{at}", "x" * at or "-")])
    failure = json.dumps({"handler": "h", "error": "E", "place": "p:1", "attempts": 2})
    made.dead_letter([(one, failure) for one in made.receive("work", limit=20)])
    made.receive("work", limit=10)
    return made


def plans(broker: StoredBroker, query: MessageQuery) -> list[str]:
    """How SQLite goes about each statement of a search that reads messages, bodies or letters."""
    connection = broker.store._database.connection  # type: ignore[attr-defined]
    asked: list[tuple[str, object]] = []

    def trace(_: object, sql: str, values: object) -> bool:
        asked.append((sql, values))
        return True

    connection.exec_trace = trace
    try:
        broker.find(query)
    finally:
        connection.exec_trace = None
    found = []
    for sql, values in asked:
        if sql.lstrip().startswith("SELECT"):
            steps = connection.cursor().execute(f"EXPLAIN QUERY PLAN {sql}", values)
            found += [detail for *_, detail in steps]
    return found


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (MessageQuery(ids=["w30"]), "SEARCH m USING COVERING INDEX message_id (queue=? AND id=?)"),
        (MessageQuery(ids=["w3*"]), "message_id (queue=? AND id>? AND id<?)"),
        (MessageQuery(groups=["g"]), "message_group (queue=? AND tenant=?)"),
        (MessageQuery(groups=["g"]), "message_lane (queue=? AND lane=?)"),
        (MessageQuery(states=["in_flight"]), "message_due (queue=? AND visible_at>?"),
        (MessageQuery(states=["waiting"]), "message_due (queue=? AND visible_at<?"),
        (MessageQuery(handlers=["h"]), "letter_cause (cause=?)"),
        (MessageQuery(states=["dead"]), "SEARCH letter USING INTEGER PRIMARY KEY (rowid<?)"),
        (MessageQuery(queues=["dead"], states=["dead"]), "letter_queue (queue=? AND seq<?)"),
        (MessageQuery(queues=["work"]), "SEARCH message USING PRIMARY KEY (queue=? AND seq<?)"),
        (MessageQuery(text="x"), "SEARCH m USING PRIMARY KEY (queue=? AND seq>? AND seq<?)"),
    ],
    ids=str,
)
def test_it_goes_by_the_index(broker: StoredBroker, query: MessageQuery, index: str) -> None:
    steps = plans(broker, query)
    assert any(index in step for step in steps), steps
    scans = [step for step in steps if step.startswith("SCAN") and "VIRTUAL TABLE" not in step]
    assert not [step for step in scans if step.split()[1] in ("m", "message", "body", "letter")]


def test_a_look_is_bounded_and_goes_on(
    broker: StoredBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finder, "BOUND", 20)
    monkeypatch.setattr(finder, "CHUNK", 5)
    query = MessageQuery(text="xxx", order="oldest", limit=3)
    pages, ids = [], []
    while True:
        page = broker.find(query)
        pages.append((len(page.messages), page.looked))
        ids += [one.delivery.id for one in page.messages]
        if page.next is None:
            break
        query = MessageQuery(text="xxx", order="oldest", limit=3, after=page.next)
    assert ids == [f"o{at}" for at in range(3, 40)]
    assert pages[0] == (0, 20)  # it looked at the first 20, and says so
    assert all(looked <= 20 for _, looked in pages)
    page = broker.find(MessageQuery(text="nosuch"))
    assert (page.messages, page.looked, page.next is None) == ([], 20, False)
    assert page.since is not None
    assert 1000.0 <= page.since < 1001.0
    more = broker.find(MessageQuery(states=["in_flight"]))  # ten: an index says so
    assert (len(more.messages), more.looked, more.next) == (10, 10, None)
    assert broker.find(MessageQuery(states=["waiting"])).looked == 20  # 70 are: it walks


def test_letters_of_a_cause_are_found_at_once_wherever_they_lie(
    broker: StoredBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finder, "BOUND", 10)
    monkeypatch.setattr(finder, "CHUNK", 5)
    (cause,) = broker.causes()
    broker.create_queue("other-dead")
    broker.set_queue("other", QueueSettings(dead_letter_queue="other-dead", max_receives=9))
    letters = [(one, '{"error": "F"}') for one in broker.receive("other", limit=40)]
    broker.dead_letter(letters)  # newer, and more than are looked at for a page
    page = broker.find(MessageQuery(causes=[cause.id], limit=3))
    assert [one.delivery.id for one in page.messages] == ["w19", "w18", "w17"]
    page = broker.find(MessageQuery(causes=[cause.id], limit=3, after=page.next))
    assert [one.delivery.id for one in page.messages] == ["w16", "w15", "w14"]
    steps = plans(broker, MessageQuery(causes=[cause.id]))
    assert any("letter_cause (cause=? AND seq<?)" in step for step in steps), steps


def test_a_count_is_kept_whatever_takes_a_letter_away(broker: StoredBroker) -> None:
    def counted() -> list[tuple[int, int]]:
        connection = broker.store._database.connection  # type: ignore[attr-defined]
        rows: apsw.Cursor = connection.cursor().execute(
            "SELECT count, (SELECT count(*) FROM letter WHERE cause = cause.id) FROM cause"
        )
        return list(rows)

    assert counted() == [(20, 20)]
    broker.redrive("dead", limit=3)
    broker.purge("dead", limit=2)
    held = broker.receive("dead", limit=5)
    broker.delete([Finish(one) for one in held])
    assert counted() == [(10, 10)]
    with pytest.raises(ZeroDivisionError):
        broker.store.transact(lambda rows: (rows.drop(1, [broker.peek("dead")[0].sequence]), 1 / 0))
    assert counted() == [(10, 10)]  # what is undone is counted again
    broker.start_move("dead", "other")
    while broker.step_moves(4):
        pass
    assert (counted(), broker.causes()) == ([(0, 0)], [])
    broker.clock.advance(49 * 3600)  # type: ignore[attr-defined]
    broker.upkeep()
    assert counted() == []  # nothing speaks of it any more
    broker.close()
