"""What a plain publish has added is a message for whoever looks: no verb tells the difference."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from taskflow.broker import QueueSettings
from taskflow.broker.message_query import MessageQuery
from taskflow.broker.record import RecordQuery
from taskflow.errors import BrokerFileError
from taskflow.message import Message
from taskflow.stores.sqlite.arrivals import Arrivals
from tests.taskflow.stores.test_plain_way import Made

Verb = Callable[[Any, list[str]], Any]
VERBS: dict[str, Verb] = {
    "counts": lambda broker, ids: broker.counts("work"),
    "survey": lambda broker, ids: broker.survey(),
    "waiting": lambda broker, ids: broker.waiting("work", 10),
    "peek": lambda broker, ids: [one.body for one in broker.peek("work")],
    "peek by id": lambda broker, ids: [one.id for one in broker.peek("work", ids=ids[:2])],
    "receive": lambda broker, ids: [one.body for one in broker.receive("work", limit=10)],
    "receive one": lambda broker, ids: [one.body for one in broker.receive("work")],
    "receive and wait": lambda broker, ids: len(broker.receive("work", limit=2, wait=20)),
    "find": lambda broker, ids: [
        one.delivery.id for one in broker.find(MessageQuery(queues=("work",))).messages
    ],
    "find by id": lambda broker, ids: len(broker.find(MessageQuery(ids=(ids[1],))).messages),
    "purge": lambda broker, ids: broker.purge("work"),
    "purge by id": lambda broker, ids: broker.purge("work", ids[1:]),
    "lend": lambda broker, ids: broker.lend("work", ids[0], 5).body,
    "transfer": lambda broker, ids: broker.transfer("work", ids[:1], "other"),
    "delete the queue": lambda broker, ids: broker.delete_queue("work"),
    "send": lambda broker, ids: broker.send("work", [Message("1", "x")]),
    "publish one that is there": lambda broker, ids: broker.publish("made", [Message(ids[0], "x")]),
    "hand out": lambda broker, ids: len(broker.hand_out("batch", "work", "there", 10).messages),
    "upkeep": lambda broker, ids: broker.upkeep(),
}


def arrived(made: Made) -> int:
    count: int = made.store._database.connection.execute("SELECT count(*) FROM arrival").get
    return count


class Two:
    """A broker that has published, and one of another process that is asked."""

    def __init__(self, path: Path, *, plain: bool = True) -> None:
        self.made, self.other = Made(path, plain=plain), Made(path, plain=plain)
        self.other.clock = self.made.clock
        self.made.warm()
        self.ids = [str(self.made.publish(number)) for number in range(3)]

    def close(self) -> None:
        for one in (self.other, self.made):
            one.broker.close()


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    two = Two(tmp_path / "broker.db")
    yield two
    two.close()


@pytest.fixture
def made() -> Iterator[Made]:
    made = Made()
    made.warm()
    yield made
    made.broker.close()


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("name", VERBS)
def test_each_verb_answers_and_leaves_the_same(tmp_path: Path, name: str, apart: bool) -> None:
    """As the general way has it."""

    def ask(plain: bool) -> tuple[Any, ...]:
        two = Two(tmp_path / f"{plain}.db", plain=plain)
        assert arrived(two.made) == (3 if plain else 0)
        asked = two.other if apart else two.made
        answer = VERBS[name](asked.broker, two.ids)
        assert arrived(two.made) == 0  # the verb itself has seen them
        rows = [[list(row) for row in table] for table in asked.rows()]
        for row in rows[0]:
            row[4] = None  # receipts are random
        two.close()
        return answer, rows, two.ids

    assert ask(True) == ask(False)


def test_who_publishes_takes_them_over_at_times(two: Two) -> None:
    most = 0
    for number in range(200):
        two.made.publish(number)
        most = max(most, arrived(two.made))
    assert 32 < most < 64


@pytest.mark.parametrize("delay", [0.0, 7.0])
def test_whether_and_when_one_is_due_is_seen_without_that(made: Made, delay: float) -> None:
    made.broker.set_queue("work", QueueSettings(delay=delay))
    made.broker.purge("work")
    made.warm()
    made.broker.purge("work")
    made.publish(1)
    before = made.clock.now() - 1
    assert made.broker.next_due("work") == (before + 1 + delay if delay else None)
    assert made.broker.receive("other") == []
    assert len(made.broker.receive("work")) == (not delay)
    made.publish(2)
    assert arrived(made) == (2 if delay else 1)
    made.clock.advance(delay)
    assert made.broker.next_due("work") != before
    assert arrived(made) == (2 if delay else 1)
    assert len(made.broker.receive("work", limit=10)) == (2 if delay else 1)


def test_who_looks_at_records_leaves_them(two: Two) -> None:
    """Nothing is written for whoever waits for a result."""
    two.other.broker.records("run", ["1"])
    two.other.broker.list_records(RecordQuery(kind="run"))
    two.other.broker.count_records("run")
    two.other.broker.holders(["key"])
    assert arrived(two.made) == 3


def test_they_survive_whoever_published_them(two: Two) -> None:
    two.made.broker.close()
    assert arrived(two.other) == 3
    assert two.other.broker.counts("work").visible == 4


def test_in_numbers_and_order_they_are_behind_what_was_there(two: Two) -> None:
    """Also when the clock went back meanwhile."""
    two.made.clock.set(two.made.clock.now() - 60)
    two.made.publish("last")
    two.other.broker.send("work", [Message("1", '"data":"after"}')])
    rows = two.made.rows()
    assert [seq for (_, seq, *_) in rows[0]] == sorted({seq for (seq, *_) in rows[1]})
    assert [body.rpartition(":")[2] for body in two.made.bodies()] == [
        '"the first goes the general way"}', "0}", "1}", "2}", '"last"}', '"after"}',
    ]  # fmt: skip


def test_what_keeps_them_from_being_taken_over_is_raised_and_nothing_is_lost(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Arrivals) -> None:
        raise apsw.FullError("database or disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(Arrivals, "take_over", fail)
        for name in ("receive", "send", "purge"):
            with pytest.raises(BrokerFileError, match="full"):
                VERBS[name](two.other.broker, two.ids)
        assert two.other.broker.counts("work").visible == 1  # who only looks is answered
        with pytest.raises(BrokerFileError, match="full"), two.other.store.gathering(1.0):
            two.other.store.transact(lambda rows: None)
    assert len(two.other.broker.receive("work", limit=10)) == 4


def test_after_such_an_error_what_is_gathered_goes_on(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_over, failing = Arrivals.take_over, [True]

    def fail_once(self: Arrivals) -> None:
        if failing:
            failing.pop()
            raise apsw.FullError("database or disk is full")
        take_over(self)

    monkeypatch.setattr(Arrivals, "take_over", fail_once)
    with two.other.store.gathering(1.0) as gathering:
        with pytest.raises(BrokerFileError, match="full"):
            two.other.store.transact(lambda rows: None)
        gathering.begin_call()
        two.other.store.transact(lambda rows: rows.purged(1, 1.0))
    assert two.made.rows()[3][0][5] == 1.0
    assert len(two.other.broker.receive("work", limit=10)) == 4


def test_a_look_among_gathered_calls_sees_them_and_does_not_count_as_a_change(two: Two) -> None:
    store = two.other.store
    with store.gathering(None):
        assert len(two.other.bodies()) == 4
        store.transact(lambda rows: rows.purged(1, 7.0))  # on an event loop: the first change
    assert two.made.rows()[3][0][5] == 7.0


def test_while_another_process_keeps_the_file_who_looks_sees_what_was_there_before(
    two: Two, caplog: pytest.LogCaptureFixture
) -> None:
    """After a second; where nothing has arrived it waits for nobody."""
    somebody = two.made.store._database.connection
    two.other.store._database.connection.set_busy_timeout(0)
    with somebody:
        somebody.execute("UPDATE queue SET paused = paused")
        assert two.other.broker.counts("work").visible == 1
    assert "just published is not seen yet" in caplog.text
    assert "locked" in caplog.text
    caplog.clear()
    assert two.other.broker.counts("work").visible == 4
    with somebody:
        somebody.execute("UPDATE queue SET paused = paused")
        assert two.other.broker.counts("work").visible == 4
    assert caplog.text == ""


def test_what_has_arrived_for_a_queue_that_is_gone_keeps_nothing_up(two: Two) -> None:
    """Nothing of ours takes a queue away so."""
    connection = two.made.store._database.connection
    connection.pragma("foreign_keys", False)
    connection.execute("DELETE FROM message; DELETE FROM queue WHERE name = 'work'")
    connection.pragma("foreign_keys", True)
    two.other.broker.send("other", [Message("1", "x")])
    assert arrived(two.made) == 0
    assert [len(table) for table in two.made.rows()[:2]] == [1, 2]
