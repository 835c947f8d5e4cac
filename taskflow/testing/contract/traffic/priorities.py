"""Priorities: of what is due the higher comes first, and none waits for ever."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future

import pytest

from taskflow.broker import Broker, Finish
from taskflow.errors import LimitExceeded
from taskflow.message import Delivery, Message, Priority
from taskflow.testing import ManualClock
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.fixtures import *
from taskflow.testing.contract.needs import needs

Send = Callable[..., None]


@pytest.fixture
def fill_level(broker: Broker, queue: str) -> Send:
    """Send so many messages of a priority, called `high 0`, `high 1`, ..."""

    def fill_level(priority: Priority | None, count: int = 1, **more: object) -> None:
        broker.send(
            queue,
            [
                Message(f"{priority} {at}", "x", priority=priority, **more)  # type: ignore[arg-type]
                for at in range(count)
            ],
        )

    return fill_level


def ids(found: list[Delivery]) -> list[str]:
    return [one.id for one in found]


def drain(broker: Broker, limit: int) -> list[str]:
    """The ids of all, as receives of so many bring them."""
    order = []
    while found := broker.receive("work", limit=limit):
        order += ids(found)
        broker.delete([Finish(one) for one in found])
    return order


@pytest.mark.parametrize("limit", [1, 10])
def test_the_higher_comes_first_whenever_it_was_sent(
    broker: Broker, fill_level: Send, clock: ManualClock, limit: int
) -> None:
    for priority in ("low", None, "high", "normal"):
        fill_level(priority, 2)
        clock.advance(1)
    assert drain(broker, limit) == [
        *("high 0", "high 1", "None 0", "None 1", "normal 0", "normal 1", "low 0", "low 1")
    ]


def test_within_a_level_the_earliest_comes_first(
    broker: Broker, fill_level: Send, clock: ManualClock
) -> None:
    fill_level("low", 3)
    clock.advance(1)
    broker.send("work", [Message("later", "x", priority="low")])
    assert drain(broker, 2) == ["low 0", "low 1", "low 2", "later"]


@pytest.mark.parametrize("limit", [1, 3, 10, 64])
def test_the_lowest_gets_one_start_in_ten_at_least(
    broker: Broker, fill_level: Send, limit: int
) -> None:
    fill_level("low", 100)
    fill_level("high", 300)
    order = drain(broker, limit)
    starts = [at for at, id in enumerate(order) if id.startswith("low")]
    gaps = [after - before for before, after in zip([-1, *starts], starts, strict=False)]
    assert max(gaps) <= 10
    assert Counter(id.split()[0] for id in order[:200]) == {"high": 180, "low": 20}


def test_of_three_levels_each_goes_on(broker: Broker, fill_level: Send) -> None:
    for priority in ("low", "normal", "high"):
        fill_level(priority, 100)
    first = Counter(id.split()[0] for id in drain(broker, 7)[:100])
    assert first["low"] >= 9
    assert first["normal"] >= 9
    assert first["high"] >= 80


def test_one_that_comes_back_keeps_its_level(
    broker: Broker, fill_level: Send, clock: ManualClock
) -> None:
    fill_level("high")
    fill_level("normal", 2)
    held = broker.receive("work")
    broker.change_visibility([(held[0], 5)])
    assert ids(broker.receive("work")) == ["normal 0"]
    clock.advance(5)
    assert ids(broker.receive("work")) == ["high 0"]


def test_a_delayed_one_is_due_in_its_time(
    broker: Broker, fill_level: Send, clock: ManualClock
) -> None:
    fill_level("high", delay=30.0)
    fill_level("low")
    counts = broker.counts("work")
    assert (counts.visible, counts.delayed) == (1, 1)
    assert broker.next_due("work") == clock.now() + 30
    assert drain(broker, 10) == ["low 0"]
    clock.advance(30)
    assert drain(broker, 10) == ["high 0"]


@needs("repairs")
def test_all_levels_are_counted_and_looked_at(broker: Broker, fill_level: Send) -> None:
    for priority in ("low", "normal", "high"):
        fill_level(priority, 2)
    broker.receive("work", limit=2)
    counts = broker.counts("work")
    assert (counts.visible, counts.in_flight) == (4, 2)
    assert [broker.waiting("work", most) for most in (9, 3)] == [4, 3]
    assert len(broker.peek("work")) == 6
    assert broker.purge("work") == 6
    assert broker.receive("work") == []


@needs("dead_letters", "repairs")
def test_a_dead_letter_has_its_priority_again_when_it_comes_back(
    broker: Broker, fill_level: Send
) -> None:
    fill_level("high")
    broker.dead_letter([(one, "{}") for one in broker.receive("work")])
    (letter,) = broker.peek("work-dlq")
    assert letter.priority == "high"
    fill_level("normal")
    assert broker.redrive("work-dlq") == 1
    assert ids(broker.receive("work", limit=2)) == ["high 0", "normal 0"]


@needs("fair_groups")
def test_tenants_share_each_level(broker: Broker, queue: str) -> None:
    broker.send(queue, [Message(f"n{at}", "x", group="noisy") for at in range(60)])
    broker.receive(queue, limit=40)
    for priority in ("low", "high"):
        some = [("noisy", 2), ("quiet", 2)]
        for group, count in some:
            broker.send(
                queue,
                [
                    Message(f"{priority} {group} {at}", "x", group=group, priority=priority)
                    for at in range(count)
                ],
            )
    found = ids(broker.receive(queue, limit=4))
    assert found == ["high quiet 0", "high quiet 1", "high noisy 0", "high noisy 1"]


@pytest.mark.parametrize("priority", ["high", "low"])
def test_who_waits_is_woken_by_any_level(
    broker: Broker,
    fill_level: Send,
    poll: Callable[..., Future[list[Delivery]]],
    priority: Priority,
) -> None:
    waiting = poll("work")
    fill_level(priority)
    assert ids(waiting.result(10)) == [f"{priority} 0"]


@needs("fifo")
def test_a_fifo_queue_refuses_what_would_overtake(broker: Broker, fifo: str) -> None:
    for priority in ("high", "low"):
        with pytest.raises(LimitExceeded, match=f"FIFO.*{priority!r}"):
            broker.send(
                fifo, [Message("1", "x", group="g", deduplication_id="1", priority=priority)]
            )
    broker.send(fifo, [Message("1", "x", group="g", deduplication_id="1", priority="normal")])
    assert ids(broker.receive(fifo)) == ["1"]


__all__ = collected(globals(), ("priorities",))
