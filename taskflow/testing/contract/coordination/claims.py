"""Claims on events, and which of them a queue has finished."""

from collections.abc import Callable

from taskflow.broker import Broker, Finish
from taskflow.message import Delivery
from taskflow.testing import ManualClock
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.fixtures import *
from taskflow.testing.contract.needs import needs

NEEDS = ("coordination",)


Put = Callable[..., None]
Get = Callable[..., list[Delivery]]


@needs("dead_letters")
def test_finished_events_are_remembered_for_their_window(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    put("1", "2")
    one, two = get()
    broker.delete([Finish(one, remember=100), Finish(two)])
    keys = {("1", "made"), ("2", "made"), ("1", "other")}
    assert broker.finished("work", keys) == {("1", "made")}
    assert broker.finished("work-dlq", keys) == set()
    clock.advance(99.9)
    assert broker.finished("work", keys) == {("1", "made")}
    clock.advance(0.1)
    assert broker.finished("work", keys) == set()


def test_an_event_is_claimed_until_it_is_finished(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    put("1", "2")
    found = get()
    assert broker.claim(found) == ["free", "free"]
    broker.delete([Finish(found[0], remember=100)])
    broker.change_visibility([(found[1], 5)])
    put("1")
    clock.advance(5)
    again = sorted(get(), key=lambda one: one.id)
    assert [one.id for one in again] == ["1", "2"]
    assert broker.claim(again) == ["finished", "free"]
    broker.give_back(again)
    clock.advance(100)
    assert broker.claim(get()) == ["free", "free"]


def test_nothing_is_remembered_for_a_stale_receipt(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    put("1")
    (old,) = get()
    clock.advance(30)
    get()
    broker.delete([Finish(old, remember=100)])
    assert broker.finished("work", {("1", "made")}) == set()


__all__ = collected(globals(), NEEDS)
