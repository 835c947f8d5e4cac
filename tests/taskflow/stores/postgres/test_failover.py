"""A standby takes over from a server that was killed: what goes on by itself, and what is lost."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from taskflow import Event, Pool, Registry, Worker, publish
from taskflow.broker.settings import Finish
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.config import open_broker
from taskflow.errors import BrokerUnavailable, QueueNotFound
from taskflow.message import Message
from tests.postgres_server import MISSING, PostgresServer, find

WAIT = 30.0  # real seconds until a test gives up
Open = Callable[..., StoredBroker]


class Pair:
    """A server, its standby, and the address that names both."""

    def __init__(self) -> None:
        self.first = PostgresServer(wal_level="replica", max_wal_senders="4")
        self.second = PostgresServer(follows=self.first)
        hosts = f"{self.first.host},{self.second.host}"
        self.address = f"postgresql://taskflow@/postgres?host={hosts}"

    def wait_for_each_commit(self) -> None:
        """From here on the first server answers a commit when the second has it on disk."""
        self.first.set("synchronous_standby_names", "*")
        self._until("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'")

    def catch_up(self) -> None:
        """Wait until the second server has all that the first one has done."""
        with psycopg.connect(self.first.address()) as connection:
            here = connection.execute("SELECT pg_current_wal_insert_lsn()::text").fetchall()[0][0]
        self._until(f"SELECT (pg_last_wal_replay_lsn() >= '{here}')::int", self.second)

    def cut(self) -> None:
        """From here on the second server hears nothing of what the first one does."""
        self.catch_up()
        self.second.set("primary_conninfo", "")
        self._until("SELECT (count(*) = 0)::int FROM pg_stat_replication")

    def _until(self, question: str, server: PostgresServer | None = None) -> None:
        address = (server or self.first).address()
        with psycopg.connect(address, autocommit=True) as connection:
            while connection.execute(question.encode()).fetchone() != (1,):
                pass

    def fail_over(self) -> None:
        """Kill the first server, and let the second take writes."""
        self.first.kill()
        self.second.promote()

    def close(self) -> None:
        self.second.close()
        self.first.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    if find("postgres") is None:
        pytest.skip(MISSING)
    made = Pair()
    yield made
    made.close()


@pytest.fixture
def open_one(pair: Pair) -> Iterator[Open]:
    opened = []

    def open_it(**options: Any) -> StoredBroker:
        broker = open_broker(pair.address, **options)
        assert isinstance(broker, StoredBroker)
        opened.append(broker)
        return broker

    yield open_it
    for broker in opened:
        broker.close()


class Publishers:
    """Threads that publish on and on, and know what was accepted."""

    def __init__(self, broker: StoredBroker, count: int) -> None:
        self._broker = broker
        self._stop = threading.Event()
        self.accepted: list[str] = []
        self.errors: list[Exception] = []
        self._progress = threading.Condition()
        self._threads = [threading.Thread(target=self._work, args=(n,)) for n in range(count)]
        for one in self._threads:
            one.start()

    def _work(self, name: int) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            try:
                publish("made", 0, id=f"{name}-{number}", broker=self._broker)
            except Exception as error:
                self.errors.append(error)
                continue
            with self._progress:
                self.accepted.append(f"{name}-{number}")
                self._progress.notify_all()

    def more(self, count: int) -> None:
        """Wait until so many more were accepted."""
        with self._progress:
            wanted = len(self.accepted) + count
            assert self._progress.wait_for(lambda: len(self.accepted) >= wanted, WAIT)

    def stop(self) -> None:
        self._stop.set()
        for one in self._threads:
            one.join(WAIT)


@pytest.mark.slow
def test_what_was_accepted_is_handled_though_the_server_was_killed(
    pair: Pair, open_one: Open
) -> None:
    """With `synchronous_standby_names`; publishers and workers know the address of both."""
    pair.wait_for_each_commit()
    broker = open_one()
    registry = Registry()
    handled: set[str] = set()
    progress = threading.Condition()

    @registry.subscribe("made", queue="work", visibility_timeout=5)
    def record(event: Event[int]) -> None:
        with progress:
            handled.add(event.id)
            progress.notify_all()

    with working(open_one(), registry):
        publishers = Publishers(broker, 4)
        publishers.more(200)
        pair.fail_over()
        publishers.more(50)
        publishers.stop()
        with progress:
            assert progress.wait_for(lambda: handled >= set(publishers.accepted), WAIT)
    assert {type(error) for error in publishers.errors} <= {BrokerUnavailable}
    assert broker.counts("work-dlq").visible == 0


@pytest.mark.slow
def test_without_that_what_the_standby_had_not_heard_is_lost_and_no_more(
    pair: Pair, open_one: Open
) -> None:
    here = open_one()
    here.create_queue("work")
    for number in range(20):
        here.send("work", [Message(f"{number}", "x")])
    (done,) = here.receive("work")
    pair.cut()
    assert here.delete([Finish(done, 60)]) == [True]
    for number in range(20, 25):
        here.send("work", [Message(f"{number}", "x")])
    here.create_queue("lost")
    here.send("lost", [Message("1", "x")])
    with psycopg.connect(pair.first.address()) as connection:
        stamp = connection.execute("SELECT stamp FROM taskflow.declared").fetchall()[0]
    pair.fail_over()
    with psycopg.connect(pair.second.address()) as connection:  # numbers are given anew
        connection.execute("UPDATE taskflow.declared SET stamp = %s", stamp)
    with pytest.raises(QueueNotFound):  # what it knew of the other server holds no longer
        here.send("lost", [Message("2", "x")])
    assert [one.id for one in here.peek("work", limit=100)] == [f"{n}" for n in range(20)]
    here.send("work", [Message("25", "x")])
    assert here.counts("work").visible == 20


@pytest.mark.slow
def test_a_standby_alone_is_refused(pair: Pair, open_one: Open) -> None:
    open_one()  # the schema
    pair.catch_up()
    with pytest.raises(BrokerUnavailable, match="takes no writes: a standby") as caught:
        open_broker(pair.second.address())
    assert "taskflow@" not in str(caught.value)
    reader = open_broker(pair.second.address(target_session_attrs="any"))
    try:
        assert reader.queues() == []  # who only looks may do so there
        with pytest.raises(BrokerUnavailable, match="is read-only: a standby"):
            reader.create_queue("q")
    finally:
        reader.close()
    backwards = f"{pair.second.host},{pair.first.host}"
    broker = open_broker(f"postgresql://taskflow@/postgres?host={backwards}")
    broker.create_queue("q")
    broker.close()


@contextmanager
def working(broker: StoredBroker, registry: Registry) -> Iterator[None]:
    """A pool that works in a thread."""
    pool = Pool(Worker(broker, registry=registry), concurrency=4)
    thread = threading.Thread(target=pool.run)
    thread.start()
    try:
        yield
    finally:
        pool.stop_now()
        thread.join(WAIT)
        assert not thread.is_alive()
