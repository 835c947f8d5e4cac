"""connection=: what is published or called within a transaction of the application's own."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from typing import Any, cast

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from taskflow import Registry, publish, publish_many, task
from taskflow.broker import Broker, QueueSettings
from taskflow.broker.change import Change
from taskflow.errors import ConfigError
from taskflow.event import Event
from taskflow.message import Message
from taskflow.publisher import using
from taskflow.testing import ManualClock, memory_broker
from tests.postgres_server import PostgresServer
from tests.taskflow.stores.postgres.conftest import Begin, engine_of


class Undone(Exception):
    pass


@contextmanager
def rolled_back(begin: Begin) -> Iterator[Any]:
    with suppress(Undone), begin() as connection:
        yield connection
        raise Undone


def execute(connection: Any, sql: str) -> None:
    if type(connection).__module__.startswith("sqlalchemy"):
        connection.execute(text(sql))
    elif isinstance(connection, psycopg.Connection):
        connection.execute(sql)
    else:
        with connection.cursor() as cursor:
            cursor.execute(sql)


def ids(broker: Broker, queue: str = "work") -> list[str]:
    return [one.id for one in broker.peek(queue)]


def test_it_is_there_with_the_commit_and_gone_with_a_rollback(broker: Broker, begin: Begin) -> None:
    broker.create_queue("more.fifo", QueueSettings())
    grouped = Message("g", "x", group="g", deduplication_id="g")
    awkward = {"text": "it's 100% \\ “ü” %(p1)s $1 {,} \""}
    with begin() as connection:
        first = publish("made", awkward, id="1", broker=broker, connection=connection)
        assert (first, first.reached) == ("1", 1)
        execute(connection, "SAVEPOINT mine")
        broker.send("work", [Message("undone", "x")], connection=connection)
        execute(connection, "ROLLBACK TO SAVEPOINT mine")
        events = [Event(topic="made", payload=at, id=f"e{at}", time=1.0) for at in range(2)]
        publish_many(events, broker=broker, connection=connection)
        broker.send("more.fifo", [grouped], connection=connection, hold_group=True)
        assert ids(broker) == []  # nobody else sees it
    found = broker.receive("work")[0]
    assert (found.id, json.loads(found.body)["data"]) == ("1", awkward)
    with rolled_back(begin) as connection:
        publish("made", 2, id="2", broker=broker, connection=connection)
    assert (ids(broker), ids(broker, "more.fifo")) == (["1", "e0", "e1"], ["g"])


def test_it_is_part_of_the_transaction_of_an_async_session(
    broker: Broker, postgres: PostgresServer
) -> None:
    def send(session: Session, id: str) -> None:
        publish("made", 1, id=id, broker=broker, connection=session)

    async def change() -> None:
        engine = create_async_engine(engine_of(postgres).url)
        async with AsyncSession(engine) as session:
            await session.run_sync(send, "gone")
            await session.rollback()
            await session.run_sync(send, "kept")
            assert ids(broker) == []
            await session.commit()
        async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            with pytest.raises(ConfigError, match="autocommit"):
                await connection.run_sync(lambda plain: send(cast(Session, plain), "at once"))
        await engine.dispose()

    asyncio.run(change())
    assert ids(broker) == ["kept"]


def test_a_pipeline_is_no_transaction(postgres: PostgresServer, broker: Broker) -> None:
    with psycopg.connect(postgres.address(), autocommit=True) as connection, connection.pipeline():
        connection.execute("SELECT 1")  # sent, and nobody knows yet what becomes of it
        with pytest.raises(ConfigError, match="autocommit"):
            broker.send("work", [Message("at once", "x")], connection=connection)
        with connection.transaction():
            broker.send("work", [Message("kept", "x")], connection=connection)
    assert ids(broker) == ["kept"]


@pytest.mark.parametrize("begin", ["session-psycopg2", "psycopg"], indirect=True)
def test_a_run_is_part_of_it(broker: Broker, begin: Begin) -> None:
    registry = Registry()

    @task(queue="work", result="1h", registry=registry)
    def add(a: int, b: int) -> int:
        return a + b

    @task(queue="work", registry=registry)
    def plain() -> None: ...

    with using(broker):
        with rolled_back(begin) as connection:
            gone = add.options(connection=connection, id="same").delay(1, 2)
            assert gone.created
            again = add.options(connection=connection, id="same").delay(1, 2)
            assert not again.created
        assert broker.records("run", [gone.id]) == {}
        with begin() as connection:
            calling = add.options(connection=connection, id="same")
            kept = calling.delay(1, 2)
            later = add.options(connection=connection, delay="2h").delay(3, 4)
            many = plain.options(connection=connection).send_many([(), ()])
            with pytest.raises(ValueError, match="use delay"):
                calling.call(1, 2)
            assert ids(broker) == []
        assert kept.state == "waiting"
        assert later.state == "scheduled"
        assert ids(broker) == ["same", *(one.id for one in many)]
        with begin() as connection, pytest.warns(UserWarning, match="other arguments"):
            assert not add.options(connection=connection, id="same").delay(5, 6).created
    for keyed in ({"key": "k"}, {"debounce": 5}, {"throttle": 5}):
        with pytest.raises(ValueError, match="would wait until your transaction ends"):
            add.options(connection=object(), **keyed)


def test_nothing_is_tidied_in_a_transaction_of_somebody_elses(
    broker: Broker, postgres: PostgresServer, clock: ManualClock
) -> None:
    broker.send("work", [Message("old", "x")])
    clock.advance(400_000)
    with psycopg.connect(postgres.address()) as connection:
        for number in range(70):
            broker.send("work", [Message(f"{number}", "x")], connection=connection)
        found = connection.execute("SELECT count(*) FROM taskflow.payload WHERE id = 'old'")
        assert found.fetchone() == (1,)
        broker.send("work", [Message("old", "anew")], connection=connection)
    assert broker.counts("work").visible == 71


def test_an_old_snapshot_publishes_by_what_it_sees(
    broker: Broker, postgres: PostgresServer
) -> None:
    with psycopg.connect(postgres.address()) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SELECT 1")
        broker.create_queue("more", QueueSettings())
        broker.subscribe("made", "more")
        broker.publish("made", [Message("1", "x")])
        broker.publish("made", [Message("2", "x")], connection=connection)
    assert (ids(broker), ids(broker, "more")) == (["1", "2"], ["1"])


def test_what_cannot_be_a_connection_is_refused(
    broker: Broker, postgres: PostgresServer, tmp_path: Any
) -> None:
    message = [Message("1", "x")]
    with pytest.raises(ConfigError, match=r"connection= is a str; allowed is an open psycopg"):
        broker.publish("made", message, connection="postgresql://")
    with pytest.raises(ConfigError, match="connection= is a Engine"):
        broker.publish("made", message, connection=engine_of(postgres))
    with (
        create_engine(f"sqlite:///{tmp_path}/own.db").begin() as connection,
        pytest.raises(ConfigError, match="sqlite"),
    ):
        broker.publish("made", message, connection=connection)
    with psycopg.connect(postgres.address(), autocommit=True) as connection:
        with pytest.raises(ConfigError, match="no transaction is open"):
            broker.publish("made", message, connection=connection)
        with connection.transaction():
            broker.publish("made", message, connection=connection)
        connection.execute("CREATE DATABASE other")
        try:
            other = postgres.address().replace("/postgres?", "/other?")
            with (
                psycopg.connect(other) as elsewhere,
                pytest.raises(ConfigError, match=r"another database .* `taskflow.outbox`"),
            ):
                broker.publish("made", message, connection=elsewhere)
        finally:
            connection.execute("DROP DATABASE other")
        with (
            closing(memory_broker()) as local,
            pytest.raises(ConfigError, match=r"`taskflow\.outbox`"),
        ):
            local.apply([Change()], connection=connection)
    assert ids(broker) == ["1"]


@pytest.mark.parametrize("begin", ["session", "scoped", "django"], indirect=True)
def test_receivers_are_rung_when_it_is_committed(
    broker: Broker, begin: Begin, heard: Callable[[], list[str]]
) -> None:
    with begin() as connection:
        publish("made", 1, broker=broker, connection=connection)
        with connection.begin_nested() if isinstance(connection, Session) else nullcontext():
            broker.send("work", [Message("2", "x")], connection=connection)
        assert heard() == []
    assert heard() == ["work", "work"]
    with rolled_back(begin) as connection:
        publish("made", 1, broker=broker, connection=connection)
    assert heard() == ["work", "work"]


@pytest.fixture
def heard(broker: Broker) -> Callable[[], list[str]]:
    rung: list[str] = []
    lock = threading.Lock()

    def hear(queues: Any) -> None:
        with lock:
            rung.extend(queues)

    broker.watch(hear)
    return lambda: list(rung)
