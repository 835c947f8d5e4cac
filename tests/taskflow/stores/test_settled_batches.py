"""A batch of receipts is settled by a quick statement or by the general one, with one result."""

from random import Random

import pytest

from taskflow.broker import Finish
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.message import Delivery, Message
from taskflow.stores.sqlite.store import SqliteStore
from taskflow.testing import ManualClock

QUEUES = ("one", "two")


class Made:
    """Two queues that have lent a, b and c; b's lease has ended, and somebody else has it."""

    def __init__(self) -> None:
        self.store = SqliteStore(None, durable=False)
        self.clock = ManualClock()
        self.broker = StoredBroker(self.store, clock=self.clock, random=Random(1))
        for queue in QUEUES:
            self.broker.create_queue(queue)
            self.broker.send(queue, [Message(name, f"of {name}") for name in "abc"])
        self.lent = {queue: self.broker.receive(queue, limit=3) for queue in QUEUES}
        for a, b, c in self.lent.values():
            self.broker.extend([(a, 100), (c, 100)])
            self.clock.advance(31)
            self.broker.receive(b.queue)
            self.clock.advance(-31)


@pytest.fixture
def made() -> Made:
    return Made()


def malformed(queue: str) -> Delivery:
    return Delivery("x", "", "", {}, queue, "no receipt", 1, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("general", [False, True])
def test_only_who_still_holds_it_settles(made: Made, general: bool) -> None:
    entries = [Finish(one, remember=60) for one in made.lent["one"]]
    if general:
        entries.append(Finish(malformed("one")))
    answers = made.broker.delete(entries)
    assert answers == [True, False, True, *([False] if general else [])]
    assert [one.id for one in made.broker.peek("one")] == ["b"]
    assert made.broker.finished("one", {(name, "") for name in "abc"}) == {("a", ""), ("c", "")}
    left = "SELECT count(*) FROM body WHERE seq NOT IN (SELECT seq FROM message)"
    with made.store._database.reading:
        assert made.store._database.connection.execute(left).get == 0


def test_answers_of_several_queues_keep_their_order(made: Made) -> None:
    one, two = made.lent.values()
    mixed = [two[0], one[1], one[0], two[1], two[2], malformed("one")]
    answers = made.broker.delete([Finish(each) for each in mixed])
    assert answers == [True, False, True, False, True, False]
    assert [each.id for each in made.broker.peek("one")] == ["b", "c"]
    assert [each.id for each in made.broker.peek("two")] == ["b"]


def test_nothing_is_settled_by_nothing(made: Made) -> None:
    assert made.broker.delete([]) == []


@pytest.mark.parametrize(("again", "is_known"), [(10.0, False), (90.0, True)])
def test_what_is_finished_again_is_remembered_as_said_last(
    made: Made, again: float, is_known: bool
) -> None:
    a = made.lent["one"][0]
    made.broker.delete([Finish(a, remember=60)])
    made.broker.send("one", [Message("a", "once more")])
    (more,) = made.broker.receive("one")
    made.broker.delete([Finish(more, remember=again)])
    made.clock.advance(30)
    assert made.broker.finished("one", {("a", "")}) == ({("a", "")} if is_known else set())
