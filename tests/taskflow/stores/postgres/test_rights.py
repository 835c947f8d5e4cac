"""What docs/guides/postgres.md says that a role needs is enough, and no more."""

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from taskflow import Registry, open_broker, publish, task
from taskflow.broker import Broker, Finish, QueueSettings
from taskflow.broker.change import Change, Put, Take
from taskflow.message import Message
from taskflow.publisher import using
from tests.postgres_server import PostgresServer

GUIDE = (Path(__file__).parents[4] / "docs/guides/postgres.md").read_text()
ALL, PUBLISHES = re.findall(r"^```sql\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def roles(broker: Broker, postgres: PostgresServer) -> Iterator[None]:
    with psycopg.connect(postgres.address(), autocommit=True) as connection:
        connection.execute("CREATE ROLE app LOGIN; CREATE ROLE web LOGIN")
        connection.execute(ALL + PUBLISHES)
        yield
        connection.execute("DROP OWNED BY app, web; DROP ROLE app, web")


def address_of(role: str, server: PostgresServer) -> str:
    return server.address().replace("taskflow@", f"{role}@")


@pytest.mark.usefixtures("roles")
def test_a_role_that_works_with_the_tables(postgres: PostgresServer) -> None:
    broker = open_broker(address_of("app", postgres))
    try:
        broker.create_queue("own.fifo", QueueSettings())
        broker.send("own.fifo", [Message("1", "x", group="g", deduplication_id="1")])
        assert broker.publish("made", [Message(str(at), "x") for at in range(100)]).subscriptions
        found = broker.receive("work", "own.fifo", limit=100)
        assert broker.delete([Finish(one, 60.0) for one in found]) == [True] * len(found)
        put = Put(kind="k", key="1", value="v")
        assert broker.apply([Change(records=[put], keys=[Take("k", "me")])])[0].refused is None
        broker.upkeep()
        broker.delete_queue("own.fifo")
    finally:
        broker.close()


@pytest.mark.usefixtures("roles")
def test_a_role_that_only_publishes(broker: Broker, postgres: PostgresServer) -> None:
    registry = Registry()

    @task(queue="work", result="1h", registry=registry)
    def add(a: int) -> int:
        return a

    broker.create_queue("more", QueueSettings())
    broker.subscribe("made", "more")
    address = address_of("web", postgres)
    web = open_broker(address, clock=broker.clock)
    try:
        with psycopg.connect(address) as connection:
            publish("made", 1, broker=web, connection=connection)
            with using(web):
                run = add.options(connection=connection).delay(1)
        with psycopg.connect(address) as connection:
            for table in ("message", "payload", "lane", "finished", "queue"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                    connection.execute(f"DELETE FROM taskflow.{table}")
    finally:
        web.close()
    assert (broker.counts("work").visible, broker.counts("more").visible) == (2, 1)
    assert list(broker.records("run", [run.id])) == [run.id]
