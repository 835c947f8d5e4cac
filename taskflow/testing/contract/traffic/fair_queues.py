"""Standard queues with message groups: a group that floods the queue waits for the others."""

from collections.abc import Callable

import pytest

from taskflow.broker import Broker, Finish
from taskflow.message import Delivery, Message
from taskflow.testing import ManualClock
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.fixtures import *
from taskflow.testing.contract.needs import needs

Flood = Callable[..., None]


@pytest.fixture
def flood(broker: Broker) -> Flood:
    """Send so many messages of one group to the standard queue `q`."""
    broker.create_queue("q")

    def flood(group: str | None, count: int, name: str = "") -> None:
        broker.send("q", [Message(f"{name or group}{n}", "x", group=group) for n in range(count)])

    return flood


def groups(deliveries: list[Delivery]) -> list[str | None]:
    return [delivery.group for delivery in deliveries]


def test_a_group_orders_nothing_on_a_standard_queue(broker: Broker, flood: Flood) -> None:
    flood("a", 2)
    for _ in range(2):
        assert groups(broker.receive("q")) == ["a"]


def test_a_standard_queue_deduplicates_nothing(broker: Broker, flood: Flood) -> None:
    broker.send("q", [Message(id, "x", group="a", deduplication_id="same") for id in "12"])
    assert broker.counts("q").visible == 2


@needs("fair_groups")
def test_quiet_groups_come_before_a_noisy_one(broker: Broker, flood: Flood) -> None:
    flood("noisy", 100)
    assert groups(broker.receive("q", limit=30)) == ["noisy"] * 30
    flood("quiet", 2)
    assert groups(broker.receive("q", limit=5)) == ["quiet", "quiet", *["noisy"] * 3]


@needs("fair_groups")
@pytest.mark.parametrize(("in_flight", "first"), [(29, "flood"), (30, "quiet")])
def test_thirty_in_flight_make_a_group_noisy(
    broker: Broker, flood: Flood, in_flight: int, first: str
) -> None:
    flood("flood", 60)
    broker.receive("q", limit=in_flight)
    flood("quiet", 1)
    assert groups(broker.receive("q")) == [first]


@needs("fair_groups")
@pytest.mark.parametrize("others", ["groups", "no group"])
@pytest.mark.parametrize(("rest", "first"), [(269, "quiet"), (270, "flood")])
def test_a_tenth_of_those_in_flight_is_not_noisy_yet(
    broker: Broker, flood: Flood, others: str, rest: int, first: str
) -> None:
    for number in range(10):
        group = f"g{number}" if others == "groups" else None
        flood(group, rest // 10 + (number < rest % 10), f"g{number}-")
    broker.receive("q", limit=1000)
    flood("flood", 40)
    broker.receive("q", limit=30)
    flood("quiet", 1)
    assert groups(broker.receive("q")) == [first]


def test_a_group_is_quiet_again_once_its_messages_are_done(
    broker: Broker, flood: Flood, clock: ManualClock
) -> None:
    flood("flood", 60)
    held = broker.receive("q", limit=30)
    flood("quiet", 1)
    broker.delete([Finish(held[0])])
    assert groups(broker.receive("q")) == ["flood"]


def test_a_lease_that_has_ended_is_not_in_flight(
    broker: Broker, flood: Flood, clock: ManualClock
) -> None:
    flood("flood", 60)
    broker.receive("q", limit=30)
    clock.advance(30)
    flood("quiet", 1)
    assert groups(broker.receive("q")) == ["flood"]


@needs("fair_groups")
def test_of_noisy_groups_the_one_with_least_in_flight_comes_first(
    broker: Broker, flood: Flood
) -> None:
    flood("loud", 50)
    broker.receive("q", limit=40)
    flood("louder", 50)
    assert groups(broker.receive("q", limit=45)) == ["louder"] * 45
    assert groups(broker.receive("q", limit=12)) == ["loud"] * 10 + ["louder"] * 2


@needs("fair_groups")
def test_messages_without_a_group_are_quiet_and_take_their_turn_by_age(
    broker: Broker, flood: Flood, clock: ManualClock
) -> None:
    flood("noisy", 60)
    broker.receive("q", limit=30)
    for group in (None, "b", None, "a"):
        clock.advance(1)
        flood(group, 1, f"at {clock.now()}")
    assert groups(broker.receive("q", limit=3)) == [None, "b", None]
    assert groups(broker.receive("q", limit=2)) == ["a", "noisy"]


@needs("fair_groups")
def test_the_oldest_quiet_message_comes_first(
    broker: Broker, flood: Flood, clock: ManualClock
) -> None:
    flood("noisy", 60)
    broker.receive("q", limit=30)
    for group in ("c", "a", "b"):
        flood(group, 2)
        clock.advance(1)
    assert groups(broker.receive("q", limit=5)) == ["c", "c", "a", "a", "b"]


@needs("dead_letters", "repairs")
def test_the_group_is_told_and_travels_to_the_dlq_and_back(
    broker: Broker, queue: str, flood: Flood
) -> None:
    broker.send(queue, [Message("1", "x", group="g")])
    broker.dead_letter([(held, "{}") for held in broker.receive(queue)])
    assert groups(broker.peek("work-dlq")) == ["g"]
    broker.redrive("work-dlq")
    assert groups(broker.receive(queue)) == ["g"]


__all__ = collected(globals())
