"""What a schema, a type or another transaction may do to a broker over PostgreSQL, and may not."""

import enum
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import psycopg
import pytest
from psycopg import sql

from taskflow.broker import Broker, Finish
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.config import open_broker
from taskflow.message import Message
from taskflow.stores.postgres.address import server_of
from taskflow.stores.postgres.connecting import connect
from taskflow.stores.postgres.lanes import Lanes
from taskflow.stores.postgres.statements import Statements, written
from taskflow.stores.postgres.store import PostgresStore, channel_of
from taskflow.stores.postgres.texts import Texts
from taskflow.stores.rows import Rows
from tests.postgres_server import PostgresServer


@pytest.fixture
def admin(postgres: PostgresServer) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(postgres.address(), autocommit=True) as connection:
        yield connection


class Name(str, enum.Enum):  # noqa: UP042 - `str` of one says "Name.WORK"
    WORK = "work"


class Shouting(float):
    def __repr__(self) -> str:
        return "LOUD"


class Two(int, enum.Enum):
    ONE = 1


def test_a_subclass_is_stored_as_what_it_is(broker: Broker) -> None:
    broker.create_queue(Name.WORK)
    broker.send(Name.WORK, [Message("1", "x"), Message("2", "y")])
    assert [one.id for one in broker.peek("work")] == ["1", "2"]
    values = (Name.WORK, Shouting(1.5), Two.ONE, [Name.WORK, Shouting(2), Two.ONE])
    assert written(values) == [b"work", b"1.5", b"1", b'{"work",2.0,1}']


@pytest.mark.parametrize("schema", ["q'uo\"te", "tf.x", "s" * 63])
def test_a_schema_may_have_any_name(postgres: PostgresServer, schema: str) -> None:
    broker = open_broker(postgres.address(schema=schema.replace('"', "%22")))
    try:
        broker.create_queue("q")
        broker.send("q", [Message("1", "x")])
        assert [one.id for one in broker.receive("q")] == ["1"]
    finally:
        broker.close()
        with psycopg.connect(postgres.address(), autocommit=True) as connection:
            name = sql.Identifier(schema)
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(name))
    assert len(channel_of(schema).encode()) <= 63  # of a longer one PostgreSQL takes no notice


def test_who_waited_for_a_lock_sees_what_was_done_whatever_the_database_says(
    broker: Broker, postgres: PostgresServer, admin: psycopg.Connection[tuple[object, ...]]
) -> None:
    admin.execute("ALTER DATABASE postgres SET default_transaction_isolation = 'serializable'")
    try:
        other = open_broker(postgres.address())
        assert isinstance(other, StoredBroker)
        store = other.store
        assert isinstance(store, PostgresStore)
        found = store.transact(
            lambda rows: store._executor.session().first("SHOW transaction_isolation")
        )
        other.close()
    finally:
        admin.execute("ALTER DATABASE postgres RESET default_transaction_isolation")
    assert found == ("read committed",)


def test_a_statement_that_was_prepared_unnoticed_spoils_no_later_one(
    postgres: PostgresServer,
) -> None:
    server = server_of(postgres.address())
    with closing(connect(server, False)) as connection:
        statements = Statements(connection, Texts("taskflow"), True)
        statements.run("SELECT 1")
        names = statements._names
        names.clear()  # as when a timeout comes between the two
        assert statements.rows(statements.run("SELECT 2")) == [(2,)]


def test_a_group_that_goes_while_somebody_waits_is_not_had(
    broker: StoredBroker, postgres: PostgresServer, admin: psycopg.Connection[tuple[object, ...]]
) -> None:
    broker.create_queue("q.fifo")
    (sent,) = broker.send("q.fifo", [Message("1", "x", group="g", deduplication_id="1")])
    store = broker.store
    assert isinstance(store, PostgresStore)

    def lock() -> list[str]:
        def work(rows: Rows) -> list[str]:
            queue = rows.queue("q.fifo")
            assert queue is not None
            return Lanes(store._executor.session()).lock(queue.id, [sent.sequence])

        return store.transact(work)

    assert lock() == ["g"]
    with ThreadPoolExecutor(1) as threads, psycopg.connect(postgres.address()) as other:
        other.execute("DELETE FROM taskflow.lane")
        answer = threads.submit(lock)
        _wait_for_lock(admin)
        other.commit()
        assert answer.result() == []  # who notes something of it now would make it again


def test_what_is_finished_together_is_remembered_in_the_order_that_all_go_by(
    broker: StoredBroker, postgres: PostgresServer, admin: psycopg.Connection[tuple[object, ...]]
) -> None:
    note = """INSERT INTO taskflow.finished
              SELECT id, %s, '', 2000.0 FROM taskflow.queue WHERE name = 'work'"""
    broker.send("work", [Message("b", "x"), Message("a", "x")])
    got = broker.receive("work", limit=2)
    with ThreadPoolExecutor(1) as threads, psycopg.connect(postgres.address()) as other:
        other.execute("SET lock_timeout = '1ms'")
        other.execute(note, ("a",))
        answer = threads.submit(broker.delete, [Finish(one, 100.0) for one in got])
        _wait_for_lock(admin)
        other.execute(note, ("b",))  # else each would wait for the other
        other.commit()
        assert answer.result() == [True, True]


def _wait_for_lock(admin: psycopg.Connection[tuple[object, ...]]) -> None:
    while not admin.execute(
        "SELECT 1 FROM pg_stat_activity WHERE application_name = 'taskflow' "
        "AND wait_event_type = 'Lock'"
    ).fetchall():
        pass


def test_an_ear_hears_though_many_files_are_open(
    broker: StoredBroker, postgres: PostgresServer
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    other: Any = None
    try:
        with ExitStack() as files:
            for _ in range(1100):
                files.enter_context(open("/dev/null"))
            other = open_broker(postgres.address())
            store = other.store
            store.listen()
            assert store.hear(0.0) is None
            assert store.hears()
    finally:
        if other is not None:
            other.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_an_address_needs_no_host_and_no_user(postgres: PostgresServer) -> None:
    """libpq has both of its own, and what stands in the options."""
    given = urlsplit(postgres.address())
    options = dict(parse_qsl(given.query)) | {"user": given.username or ""}
    server = server_of(f"postgresql://{given.path}?{urlencode(options)}")
    assert server.shown == "postgresql:///postgres"
    with closing(connect(server, False)) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert server_of("postgresql:///db").conninfo == "postgresql:///db"
