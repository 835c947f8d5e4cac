"""Beside a transaction that is held open nothing of what has gone is cleared away: what it costs to
find the rest, and that all of it is found."""

from collections.abc import Iterator

import psycopg
import pytest

from taskflow import publish
from taskflow.broker import Broker
from taskflow.broker.settings import Finish, Holding, Limit, QueueSettings
from taskflow.config import open_broker
from taskflow.message import Message
from taskflow.stores.postgres import watermarks
from taskflow.stores.postgres.watermarks import LASTS, NEAR_LASTS, SLACK
from taskflow.testing import ManualClock
from tests.postgres_server import PostgresServer


class SlowClock(ManualClock):
    """Each look takes long, but for those before it is moved on."""

    def elapsed(self) -> float:
        self._elapsed += 0.004 * (self._elapsed > 0.0)
        return self._elapsed


@pytest.fixture
def held(postgres: PostgresServer) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A transaction with a snapshot and a number."""
    with psycopg.connect(postgres.address()) as connection:
        connection.execute("SELECT txid_current(), count(*) FROM pg_class")
        yield connection
        connection.rollback()


def entries_read(postgres: PostgresServer) -> int:
    """How many entries of the index of what is due were read since the last time, by connections
    that are closed since."""
    with psycopg.connect(postgres.address(), autocommit=True) as admin:
        while admin.execute(
            "SELECT 1 FROM pg_stat_activity WHERE application_name = 'taskflow'"
        ).fetchone():
            admin.execute("SELECT pg_stat_clear_snapshot()")
        ((found,),) = admin.execute(
            "SELECT coalesce(sum(idx_tup_read), 0)::int8 FROM pg_stat_user_indexes "
            "WHERE indexrelname = 'message_due' AND schemaname = 'taskflow'"
        ).fetchall()
        assert isinstance(found, int)
        return found


def stream(
    postgres: PostgresServer, clock: ManualClock, seconds: float, empty: bool = False
) -> float:
    """Entries read for each message of a stream of fives, with empty looks perhaps."""
    before = entries_read(postgres)
    broker = open_broker(postgres.address(), clock=clock)
    broker.create_queue("stream", QueueSettings())
    for number in range(300):
        broker.send("stream", [Message(f"{number}-{at}", "x") for at in range(5)])
        got = broker.receive("stream", limit=10 if empty else 5)
        assert [one.id for one in got] == [f"{number}-{at}" for at in range(5)]
        broker.delete([Finish(one, 100.0) for one in got])
        clock.advance(seconds)
        if empty:
            assert broker.receive("stream") == []
            broker.next_due("stream")
    broker.close()
    read = (entries_read(postgres) - before) / 1500
    postgres.empty()
    return read


@pytest.mark.slow
def test_a_stream_does_not_read_again_what_has_gone(
    postgres: PostgresServer, held: psycopg.Connection[tuple[object, ...]]
) -> None:
    # From the mark on, and from 200 cycles before it in every 20th.
    assert stream(postgres, ManualClock(1000.0), 0.001) < 1 + 2 * 200 / 20


@pytest.mark.slow
def test_nor_does_one_that_is_empty_time_and_again_where_looks_are_slow(
    postgres: PostgresServer,
    held: psycopg.Connection[tuple[object, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watermarks, "SHARE", 2000.0)  # so that they come each ten seconds
    # From 20 cycles before the mark, 2 entries a message, twice; else it would be 300 each time.
    assert stream(postgres, SlowClock(1000.0), 0.01, empty=True) < 100


def test_what_is_committed_late_is_lent_though_there_is_always_more(
    postgres: PostgresServer, broker: Broker, clock: ManualClock
) -> None:
    def received(cycles: int, seconds: float) -> list[str]:
        found = []
        for _ in range(cycles):
            clock.advance(seconds)
            broker.send("work", [Message(f"{clock.now()}", "x")])
            found += [one.id for one in broker.receive("work", limit=1)]
        return [one for one in found if one.startswith("late")]

    broker.send("work", [Message("first", "x")])
    assert received(5, 0.001) == []
    with psycopg.connect(postgres.address()) as connection:
        publish("made", "x", id="late", broker=broker, connection=connection)
        assert received(10, 0.001) == []
    assert received(10, NEAR_LASTS / 5) == ["late"]
    with psycopg.connect(postgres.address()) as connection:
        publish("made", "x", id="later", broker=broker, connection=connection)
        assert received(10, SLACK / 5) == []
    assert received(10, LASTS / 5) == ["later"]


def test_a_message_free_of_its_limit_is_lent_at_once_when_there_is_nothing_else(
    broker: Broker, clock: ManualClock
) -> None:
    holding = Holding(0, 0, {"one": Limit(1, None)})
    broker.send("work", [Message(f"{at}", "x", slot="one") for at in range(2)])
    clock.advance(5.0)
    broker.send("work", [Message("2", "x")])
    first = broker.receive("work", limit=10, holding=holding)
    assert [one.id for one in first] == ["0", "2"]
    broker.send("work", [Message("3", "x")])
    assert [one.id for one in broker.receive("work", holding=holding)] == ["3"]
    broker.delete([Finish(one) for one in first])
    assert [one.id for one in broker.receive("work", holding=holding)] == ["1"]


def test_what_is_given_back_comes_before_what_was_sent_since(
    broker: Broker, clock: ManualClock
) -> None:
    broker.send("work", [Message(f"{at}", "x") for at in range(4)])
    first, second = broker.receive("work", limit=2)
    broker.change_visibility([(first, 0.0)])
    assert [one.id for one in broker.receive("work")] == ["0"]
    broker.give_back([second])
    assert [one.id for one in broker.receive("work", limit=9)] == ["1", "2", "3"]


def test_what_is_hidden_here_is_waited_for_though_looks_for_what_is_due_next_are_slow(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watermarks, "SHARE", 2000.0)  # so that they come each eight seconds
    clock = SlowClock(1000.0)
    broker = open_broker(postgres.address(), clock=clock)
    broker.create_queue("work", QueueSettings())
    broker.send("work", [Message(f"{at}", "x") for at in range(3)])
    (first,) = broker.receive("work", visibility=60.0)
    clock.advance(1.0)
    assert broker.next_due("work") == pytest.approx(1009.0, abs=0.1)
    broker.send("work", [Message("later", "x", delay=0.9)])
    assert broker.next_due("work") == clock.now() + 0.9
    broker.send("work", [Message(f"later-{at}", "x", delay=0.8) for at in range(2)])
    assert broker.next_due("work") == clock.now() + 0.8
    broker.change_visibility([(first, 0.7)])
    assert broker.next_due("work") == clock.now() + 0.7
    assert len(broker.receive("work", limit=2, visibility=0.6)) == 2
    assert broker.next_due("work") == clock.now() + 0.6
    broker.send("work", [Message(f"turn-{at}", "x", slot="one") for at in range(2)])
    holding = Holding(0, 0, {"one": Limit(None, 2.0)})
    got = broker.receive("work", limit=2, visibility=9.0, holding=holding)
    assert [one.id for one in got] == ["turn-0"]
    assert broker.next_due("work") == clock.now() + 0.5
    broker.close()
    postgres.empty()


def test_a_message_free_of_its_limit_is_lent_though_looks_from_the_beginning_are_slow(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watermarks, "SHARE", 2000.0)
    clock = SlowClock(1000.0)
    broker = open_broker(postgres.address(), clock=clock)
    broker.create_queue("work", QueueSettings())
    holding = Holding(0, 0, {"one": Limit(1, None)})
    assert broker.receive("work") == []
    broker.send("work", [Message(f"{at}", "x", slot="one") for at in range(3)])
    (held,) = broker.receive("work", limit=3, holding=holding)
    clock.advance(5.0)
    assert broker.receive("work", holding=holding) == []
    for number in ("1", "2"):
        clock.advance(0.5)
        broker.delete([Finish(held)])
        (held,) = broker.receive("work", limit=3, holding=holding)
        assert held.id == number
    broker.close()
    postgres.empty()


def test_levels_are_seen_by_who_has_a_suspect_in_hand(broker: Broker) -> None:
    """Though the queue held nothing beside plain messages when it was last looked at."""
    broker.send("work", [Message("plain", "x")])
    assert [one.id for one in broker.receive("work", holding=Holding())] == ["plain"]
    broker.send("work", [Message("later", "x"), Message("high", "x", priority="high")])
    with_suspect = Holding(1, 1)
    assert [one.id for one in broker.receive("work", holding=with_suspect)] == ["high"]
    assert [one.id for one in broker.receive("work", holding=with_suspect)] == ["later"]
