"""A message that is alone in its queue is lent in one statement: it is no other way."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest

from taskflow.broker import Finish, QueueSettings
from taskflow.broker.settings import Holding
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.message import Attribute, Delivery, Message
from taskflow.stores.row import AHEAD, SPOKEN
from taskflow.stores.rows import Rows
from taskflow.stores.sqlite.store import SqliteStore
from taskflow.testing import ManualClock

MESSAGES = {
    "plain": Message("1", "x"),
    "with attributes": Message("1", "x", {"a": "b", "n": Attribute("Binary", b"\x00")}),
    "of a group": Message("1", "x", group="g", trace="t", sender="s"),
    "of a run": Message("1", "x", run="r", expires_at=9.0, priority="normal", headers={"h": "v"}),
}


class CountingStore(SqliteStore):
    """Counts the steps that stood for themselves."""

    steps = 0

    def step(self, work: Callable[[Rows], Any], *, rung: bool = False) -> Any:
        found = super().step(work, rung=rung)
        self.steps += found[0] is not None
        return found


class LongWay(CountingStore):
    """Lends nothing so."""

    def step(self, work: Callable[[Rows], Any], *, rung: bool = False) -> Any:
        return None, False


class Made:
    """A broker whose clock stands still, with a queue that has lent a message before."""

    def __init__(self, store: type[CountingStore] = CountingStore) -> None:
        self.store = store(None, durable=False)
        self.clock = ManualClock()
        self.broker = StoredBroker(self.store, clock=self.clock, random=Random(1))
        settings = QueueSettings(max_receives=3, dead_letter_queue="dead", retention=100)
        self.broker.create_queue("dead")
        self.broker.create_queue("work", settings)
        self.broker.send("work", [Message("0", "x")])
        self.broker.delete([Finish(one) for one in self.broker.receive("work")])

    def waiting(self, send: Callable[[], object], **how: Any) -> list[Delivery]:
        """What somebody gets who waited before something was sent."""
        with ThreadPoolExecutor() as pool:
            polling = pool.submit(self.broker.receive, "work", wait=20, **how)
            self.clock.wait_until_parked()
            send()
            return polling.result(10)

    def rows(self, random: bool = True) -> list[tuple[Any, ...]]:
        """All there is of the messages; of receipts perhaps only the flags."""
        return list(
            self.store._database.connection.execute(
                """SELECT m.queue, m.visible_at, m.receive_count, m.receipt & ?,
                          m.first_received_at, m.sent_at, m.id, m.topic, m.source, m.lane, m.tenant,
                          b.body, b.attributes, b.extra
                   FROM message m JOIN body b ON b.seq = m.seq ORDER BY m.queue, m.seq""",
                (-1 if random else AHEAD | SPOKEN,),
            )
        )


@pytest.mark.parametrize("kind", MESSAGES)
@pytest.mark.parametrize("holding", [None, Holding(), Holding(3, 1)])
@pytest.mark.parametrize("visibility", [None, 7.0])
def test_it_is_lent_as_any_other(
    kind: str, holding: Holding | None, visibility: float | None
) -> None:
    how: dict[str, Any] = {"limit": 10, "holding": holding, "visibility": visibility}
    whole, looked, waited = Made(LongWay), Made(), Made()
    for made in (whole, looked):
        made.broker.send("work", [MESSAGES[kind]])
    expected = whole.broker.receive("work", **how)
    seen = looked.broker.receive("work", **how)
    found = waited.waiting(lambda: waited.broker.send("work", [MESSAGES[kind]]), **how)
    assert (whole.store.steps, looked.store.steps, waited.store.steps) == (0, 1, 1)
    assert waited.rows() == looked.rows() == whole.rows()
    for one in (*expected, *seen, *found):  # numbers are of the machine's time
        one.sequence, one.receipt = 0, one.receipt.partition(".")[2]
    assert found == seen == expected


def several(made: Made) -> Callable[[], object]:
    return lambda: made.broker.send("work", [Message("1", "x"), Message("2", "x")])


def returned(made: Made) -> Callable[[], object]:
    """One that was received before, and whose holder is done with it."""
    made.broker.send("work", [Message("1", "x")])
    held = made.broker.receive("work")
    return lambda: made.broker.change_visibility([(one, 0) for one in held])


def changed(made: Made) -> Callable[[], object]:
    def send() -> None:
        settings = made.broker.settings("work")
        made.broker.set_queue("work", QueueSettings(visibility_timeout=5, retention=100))
        assert settings.visibility_timeout != 5
        made.broker.send("work", [Message("1", "x")])

    return send


def of_another_level(made: Made) -> Callable[[], object]:
    """One of another level is in the queue, though not due."""
    made.broker.send("work", [Message("0", "x", priority="high", delay=60)])
    return lambda: made.broker.send("work", [Message("1", "x")])


@pytest.mark.parametrize(("case", "steps"), [(several, 0), (returned, 0), (changed, 1)])
def test_whatever_is_in_the_way_goes_the_long_way(
    case: Callable[[Made], Callable[[], object]], steps: int
) -> None:
    """But what was changed meanwhile is looked at anew, and is alone then."""
    whole, waited = Made(LongWay), Made()
    case(whole)()
    expected = whole.broker.receive("work", limit=10, holding=Holding())
    send, waited.store.steps = case(waited), 0
    found = waited.waiting(send, limit=10, holding=Holding())
    assert waited.store.steps == steps
    assert [one.id for one in found] == [one.id for one in expected]
    assert waited.rows() == whole.rows()


@pytest.mark.parametrize("case", [several, returned, of_another_level])
def test_what_is_seen_not_to_be_alone_goes_the_long_way(
    case: Callable[[Made], Callable[[], object]],
) -> None:
    whole, looked = Made(LongWay), Made()
    for made in (whole, looked):
        send, made.store.steps = case(made), 0
        send()
    expected = whole.broker.receive("work", limit=10, holding=Holding())
    found = looked.broker.receive("work", limit=10, holding=Holding())
    assert looked.store.steps == 0
    assert [one.id for one in found] == [one.id for one in expected]
    assert looked.rows() == whole.rows()


def test_a_pause_holds(made: Made) -> None:
    def send() -> None:
        made.broker.pause("work", True)
        made.clock.wait_until_parked()
        made.broker.send("work", [Message("1", "x")])
        made.clock.wait_until_parked()
        made.clock.advance(20)

    assert made.waiting(send) == []


def test_a_finished_event_is_claimed_as_such(made: Made) -> None:
    def come_again() -> list[Delivery]:
        return made.waiting(lambda: made.broker.send("work", [Message("1", "x")]))

    first = come_again()
    assert made.broker.claim(first) == ["free"]
    made.broker.delete([Finish(first[0], remember=100)])
    assert made.broker.claim(come_again()) == ["finished"]
    assert made.store.steps == 2


def test_what_is_settled_before_it_is_claimed_is_finished(made: Made) -> None:
    (one,) = made.waiting(lambda: made.broker.send("work", [Message("1", "x")]))
    made.broker.delete([Finish(one, remember=100)])
    assert made.broker.claim([one]) == ["finished"]


def test_a_lease_that_has_ended_says_nothing_of_its_event(made: Made) -> None:
    (one,) = made.waiting(lambda: made.broker.send("work", [Message("1", "x")]))
    made.clock.advance(30)
    other = StoredBroker(made.store, clock=made.clock)
    other.delete([Finish(again, remember=60) for again in other.receive("work")])
    assert made.broker.claim([one]) == ["finished"]


@pytest.fixture
def made() -> Made:
    return Made()
