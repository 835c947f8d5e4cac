"""Levels over PostgreSQL: each is looked at behind what was lent of it last."""

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import psycopg
import pytest

from taskflow.broker import Broker
from taskflow.broker.settings import Finish, QueueSettings
from taskflow.config import open_broker
from taskflow.message import Delivery, Message, Priority
from taskflow.stores.postgres import slow_looks
from taskflow.stores.postgres.slow_looks import LONGEST
from taskflow.stores.postgres.watermarks import LASTS, NEAR_LASTS, SLACK
from taskflow.testing import ManualClock
from tests.postgres_server import PostgresServer
from tests.taskflow.stores.postgres.conftest import SlowClock


def test_what_others_had_is_lent_when_they_leave_it_whatever_its_level(
    postgres: PostgresServer, broker: Broker, clock: ManualClock
) -> None:
    """It lies below the mark of its level: it waits as long as there is more, at most."""

    def send(level: Priority, *ids: str) -> None:
        broker.send("work", [Message(id, "x", priority=level) for id in ids])

    def receive() -> list[str]:
        return [one.id for one in broker.receive("work", limit=2)]

    @contextmanager
    def had(id: str) -> Iterator[None]:
        with psycopg.connect(postgres.address()) as other:
            other.execute(
                "SELECT 1 FROM taskflow.message m JOIN taskflow.payload p USING (seq) "
                "WHERE p.id = %s FOR UPDATE OF m",
                (id,),
            )
            yield

    send("high", "h1", "h2", "h3")
    send("low", "l1")
    with had("h1"):
        assert receive() == ["h2", "h3"]
    assert receive() == ["l1"]
    assert receive() == ["h1"]
    send("low", *(f"l{number}" for number in range(2, 99)))
    send("high", "h4", "h5", "h6")
    with had("h4"):
        assert receive() == ["h5", "h6"]
    assert "h4" not in receive()
    clock.advance(NEAR_LASTS)
    assert "h4" in receive()
    clock.advance(2 * SLACK)
    send("high", "h7")
    with had("h7"):
        clock.advance(2 * SLACK)
        send("high", "h8")
        assert "h8" in receive()
    assert "h7" not in receive()
    clock.advance(LASTS)
    assert "h7" in receive()


@pytest.mark.parametrize("how", ["given back", "hidden for no time"])
def test_what_comes_back_at_once_comes_before_lower_levels(broker: Broker, how: str) -> None:
    """It lies below the mark, which is as late as it is."""
    broker.send("work", [Message(id, "x", priority="high") for id in ("h1", "h2")])
    broker.send("work", [Message(f"l{number}", "x", priority="low") for number in range(9)])
    (first, _) = broker.receive("work", limit=2)
    if how == "given back":
        assert broker.give_back([first]) == [True]
    else:
        assert broker.change_visibility([(first, 0.0)]) == [True]
    assert [one.id for one in broker.receive("work")] == ["h1"]


def test_levels_come_back_to_a_queue_that_was_said_to_have_none(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where that is kept, as it takes long to say."""
    monkeypatch.setattr(slow_looks, "SHARE", 2000.0)
    clock = SlowClock(1000.0)
    broker = open_broker(postgres.address(), clock=clock)
    broker.create_queue("work", QueueSettings())
    for id in ("1", "2"):
        broker.send("work", [Message(id, "x", priority="high")])
        began = clock.elapsed()
        (one,) = broker.receive("work")
        assert one.id == id
        assert clock.elapsed() - began < 1.0  # not asked time and again until it is kept no longer
        broker.delete([Finish(one)])
        clock.advance(LONGEST)
        assert broker.receive("work") == []
        broker.send("work", [Message("plain", "x")])
        broker.delete([Finish(one) for one in broker.receive("work")])
    broker.close()
    postgres.empty()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_levels_are_lent_as_where_each_look_is_from_the_beginning(
    postgres: PostgresServer, seed: int
) -> None:
    """What this process does itself its marks know of: it is as in a file of its own."""
    random, clock = Random(seed), ManualClock(1000.0)
    brokers = [open_broker(address, clock=clock) for address in (postgres.address(), "memory://")]
    held: list[list[Delivery]] = [[], []]
    for broker in brokers:
        broker.create_queue("work", QueueSettings(visibility_timeout=3.0))
    levels: tuple[Priority, ...] = ("high", "low", "normal")
    for step in range(150):
        clock.advance(random.choice((0.0, 0.001, 0.03, 0.5, 2.0)))
        turn, number, wait = random.random(), random.randrange(1, 5), random.choice((0.0, 0.4))
        chosen = random.choices(levels, k=number)
        at = random.randrange(len(held[0])) if held[0] else None
        found: list[object] = []
        for broker, mine in zip(brokers, held, strict=True):
            if turn < 0.35:
                some = [
                    Message(f"{step}-{one}", "x", priority=level, delay=wait)
                    for one, level in enumerate(chosen)
                ]
                broker.send("work", some)
            elif turn < 0.7 or at is None:
                got = broker.receive("work", limit=number)
                found.append([one.id for one in got])
                mine += got
            elif turn < 0.8:
                found.append(broker.change_visibility([(mine.pop(at), wait)]))
            elif turn < 0.9:
                found.append(broker.give_back([mine.pop(at)]))
            else:
                found.append(broker.delete([Finish(mine.pop(at))]))
        assert not found or found[0] == found[1]
    for broker in brokers:
        broker.close()
    postgres.empty()
