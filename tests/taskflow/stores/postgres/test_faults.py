"""What happens to a broker over PostgreSQL when something happens to the server, or elsewhere."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest

from taskflow.broker.settings import Finish, QueueSettings, TopicSubscription
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.clock import SystemClock
from taskflow.config import open_broker
from taskflow.errors import BrokerUnavailable, LimitExceeded
from taskflow.message import Message
from taskflow.stores.postgres.store import PostgresStore
from tests.postgres_server import PostgresServer

Open = Callable[..., StoredBroker]


@pytest.fixture
def open_one(postgres: PostgresServer) -> Iterator[Open]:
    """Opens brokers that know nothing of each other, as if they were in several processes."""
    opened = []

    def open_it(**options: str) -> StoredBroker:
        broker = open_broker(postgres.address(**options))
        assert isinstance(broker, StoredBroker)
        opened.append(broker)
        return broker

    yield open_it
    for broker in opened:
        broker.close()
    postgres.empty()


@pytest.fixture
def admin(postgres: PostgresServer) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(postgres.address(), autocommit=True) as connection:
        yield connection


def kill_all(admin: psycopg.Connection[tuple[object, ...]]) -> int:
    found = admin.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE application_name = 'taskflow'"
    )
    return len(found.fetchall())


def test_a_lost_connection_costs_nothing(
    open_one: Open, admin: psycopg.Connection[tuple[object, ...]]
) -> None:
    broker = open_one()
    broker.create_queue("q")
    for number in range(5):
        broker.send("q", [Message(f"{number}", "x")])
        assert kill_all(admin)
    for number in range(5):
        (one,) = broker.receive("q")
        assert one.id == f"{number}"
        kill_all(admin)
        assert broker.delete([Finish(one, remember=60)]) == [True]
        kill_all(admin)
    assert broker.counts("q").handled == 5


def test_one_that_is_killed_amid_a_verb_is_followed_by_another(
    open_one: Open, admin: psycopg.Connection[tuple[object, ...]], postgres: PostgresServer
) -> None:
    broker = open_one()
    broker.create_queue("q")
    broker.send("q", [Message("1", "x")])
    (one,) = broker.receive("q")
    with psycopg.connect(postgres.address()) as other, ThreadPoolExecutor(1) as threads:
        other.execute("SELECT 1 FROM taskflow.message FOR UPDATE")
        answer = threads.submit(broker.delete, [Finish(one)])
        waiting: list[tuple[object, ...]] = []
        while not waiting:
            waiting = admin.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'taskflow' "
                "AND wait_event_type = 'Lock'"
            ).fetchall()
        admin.execute("SELECT pg_terminate_backend(%s::int, 5000)", waiting[0])
        other.rollback()
        assert answer.result() == [True]


@pytest.mark.slow
def test_a_server_that_crashes_and_comes_back_has_all_that_was_answered(
    open_one: Open, postgres: PostgresServer
) -> None:
    broker = open_one()
    broker.create_queue("q")
    sent, said, failed = [], list[str](), threading.Event()

    def send() -> None:
        number = 0
        while not failed.is_set():
            try:
                broker.send("q", [Message(f"{number}", "x")])
            except BrokerUnavailable as error:
                said.append(str(error))
                failed.set()
            else:
                sent.append(f"{number}")
                number += 1
                busy.set()

    busy = threading.Event()
    sender = threading.Thread(target=send)
    sender.start()
    assert busy.wait(20)
    postgres.stop()
    sender.join()
    assert said
    assert "taskflow@" not in said[0]
    postgres.start()
    there = {one.id for one in broker.peek("q", limit=10_000)}
    assert there >= set(sent)
    assert len(there) <= len(sent) + 1  # the one that was not answered may be there
    broker.send("q", [Message("again", "x")])


def test_what_is_declared_elsewhere_holds_at_once(open_one: Open) -> None:
    here, there = open_one(), open_one()
    here.create_topic("t")
    here.create_queue("a")
    here.subscribe("t", "a")
    here.publish("t", [Message("1", "x")])
    there.create_queue("b")
    there.subscribe("t", "b")
    here.publish("t", [Message("2", "x")])
    assert [one.id for one in here.peek("b")] == ["2"]
    there.pause("a")
    assert here.receive("a", limit=10) == []
    there.pause("a", paused=False)
    assert [one.id for one in here.receive("a", limit=10)] == ["1", "2"]
    there.set_queue("a", QueueSettings(visibility_timeout=5))
    assert here.settings("a").visibility_timeout == 5
    here.publish("t", [Message("3", "x")])
    (one,) = here.receive("a")
    assert one.visible_at - one.first_received_at == 5
    there.delete_queue("a")
    assert here.publish("t", [Message("4", "x")]).subscriptions == 1
    there.create_queue("a")
    here.publish("t", [Message("5", "x")])
    assert [one.id for one in there.peek("a")] == ["5"]


def test_filters_that_change_elsewhere_hold_though_nothing_is_stored(open_one: Open) -> None:
    here, there = open_one(), open_one()
    here.create_topic("t")
    here.create_queue("a")
    subscription = TopicSubscription("s", "t", "sqs", "a", filter_policy='{"color": ["red"]}')
    here.put_subscription(subscription)
    message = Message("1", "x", attributes={"color": "blue"})
    here.publish("t", [message])
    assert here.peek("a") == []
    there.put_subscription(replace(subscription, filter_policy='{"color": ["blue"]}'))
    here.publish("t", [message])
    assert [one.id for one in here.peek("a")] == ["1"]


def test_who_waits_is_rung_by_other_processes(open_one: Open) -> None:
    here, there = open_one(), open_one()
    here.create_queue("q")
    here.store.poll_interval = 1000.0  # a ring alone can end the wait in time
    with ThreadPoolExecutor(1) as threads:
        here.store.listen()
        answer = threads.submit(here.receive, "q", wait=20)
        there.send("q", [Message("1", "x")])
        assert [one.id for one in answer.result()] == ["1"]
        there.apply([])
        answer = threads.submit(here.receive, "q", wait=20)
        there.send("q", [Message(f"{n}", "x" * 200, group="g" * 100) for n in range(2, 6)])
        assert answer.result()


def test_an_ear_that_is_lost_is_opened_again(
    open_one: Open, admin: psycopg.Connection[tuple[object, ...]]
) -> None:
    here, there = open_one(), open_one()
    here.create_queue("q")
    store = here.store
    assert isinstance(store, PostgresStore)
    store.listen()
    assert store.hears()
    kill_all(admin)
    while store.hears():
        store.hear(1.0)
    store.poll_interval = 1000.0
    with ThreadPoolExecutor(1) as threads:
        store.listen()
        answer = threads.submit(here.receive, "q", wait=20)
        there.send("q", [Message("1", "x")])
        assert answer.result()


class HourAhead(SystemClock):
    def now(self) -> float:
        return super().now() + 3600


def test_a_host_whose_clock_is_wrong_goes_by_the_database(
    open_one: Open, postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    right = open_one()
    wrong = open_broker(postgres.address(), clock=HourAhead())
    try:
        right.create_queue("q")
        right.send("q", [Message("1", "x")])
        (one,) = right.receive("q")
        assert wrong.receive("q", limit=10) == []  # its lease has not ended
        assert right.leases([one]) == ["held"]
        wrong.send("q", [Message("2", "x")])
        (two,) = right.receive("q")
        assert abs(two.sent_at - one.sent_at) < 1800
        assert wrong.next_due("q") == pytest.approx(one.visible_at)
    finally:
        wrong.close()
    assert "3600.0 s ahead of that of the database" in caplog.text


def test_who_lost_the_server_asks_the_next_one_for_its_time(
    open_one: Open, admin: psycopg.Connection[tuple[object, ...]]
) -> None:
    broker = open_one()
    broker.create_queue("q")
    store = broker.store
    assert isinstance(store, PostgresStore)
    (clock,) = store._clocks
    right = clock.now()
    clock._ahead += 3600  # as the server said that was there before
    kill_all(admin)
    broker.send("q", [Message("1", "x")])
    assert clock.now() - right < 1800


def test_what_the_server_does_not_store_is_refused(open_one: Open) -> None:
    broker = open_one()
    broker.create_queue("q")
    for body in ("a\0b", "\ud800"):
        with pytest.raises(LimitExceeded):
            broker.send("q", [Message("1", body)])
    broker.send("q", [Message("2", 'quotes " and \\ and {braces}, NULL')])
    broker.send("q", [Message("3", 'also " \\ {b}'), Message("4", "NULL")])
    bodies = [one.body for one in broker.receive("q", limit=10)]
    assert bodies == ['quotes " and \\ and {braces}, NULL', 'also " \\ {b}', "NULL"]


def test_a_server_that_only_reads_says_so(
    open_one: Open, admin: psycopg.Connection[tuple[object, ...]]
) -> None:
    broker = open_one()
    broker.create_queue("q")
    admin.execute("ALTER DATABASE postgres SET default_transaction_read_only = on")
    try:
        kill_all(admin)
        with pytest.raises(BrokerUnavailable, match="read-only"):
            broker.send("q", [Message("1", "x")])
    finally:
        admin.execute("SET default_transaction_read_only = off")
        admin.execute("ALTER DATABASE postgres RESET default_transaction_read_only")
        kill_all(admin)
    broker.send("q", [Message("1", "x")])


def test_a_server_without_room_says_what_is_needed(
    open_one: Open, admin: psycopg.Connection[tuple[object, ...]], postgres: PostgresServer
) -> None:
    open_one()  # the schema
    admin.execute("CREATE ROLE few LOGIN CONNECTION LIMIT 0")
    try:
        with pytest.raises(BrokerUnavailable, match="no connection left"):
            open_broker(postgres.address().replace("taskflow@", "few@"))
    finally:
        admin.execute("DROP ROLE few")


def test_behind_a_pooler_nothing_is_prepared(open_one: Open) -> None:
    broker = open_one(pooled="true")
    broker.create_topic("t")
    broker.create_queue("q")
    broker.subscribe("t", "q")
    for number in range(12):
        broker.publish("t", [Message(f"{number}", "x")])
    lent = broker.receive("q", limit=10)
    assert broker.delete([Finish(one, 60) for one in lent]) == [True] * 10
    store = broker.store
    assert isinstance(store, PostgresStore)
    store.listen()
    assert not store.hears()
    for free in store._executor._free.values():
        for session in free:
            found = session.connection.execute("SELECT count(*) FROM pg_prepared_statements")
            assert found.fetchall() == [(0,)]
