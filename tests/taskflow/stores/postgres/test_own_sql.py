"""SQL of the application in the transaction of a step, in the broker's own database."""

from collections.abc import Iterator

import pytest

from taskflow import Event, Registry, Run, publish, workflow
from taskflow.broker.own_sql import Sql
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.config import open_broker
from taskflow.errors import StepFailed
from taskflow.publisher import using
from taskflow.testing import ManualClock, drain
from taskflow.topology import declare
from tests.postgres_server import PostgresServer


@pytest.fixture
def broker(postgres: PostgresServer) -> Iterator[StoredBroker]:
    opened = open_broker(postgres.address(), clock=ManualClock())
    assert isinstance(opened, StoredBroker)
    opened.within(lambda sql: sql.execute("CREATE TABLE IF NOT EXISTS ledger (cents int)"))
    opened.within(lambda sql: sql.execute("DELETE FROM ledger"))
    yield opened
    opened.close()
    postgres.empty()


def ledger(broker: StoredBroker) -> list[tuple[int]]:
    return broker.within(lambda sql: sql.execute("SELECT cents FROM ledger"))


def test_what_it_changes_and_sends_is_there_with_the_step_or_not_at_all(
    broker: StoredBroker,
) -> None:
    registry = Registry()
    heard: list[str] = []
    fails = [True]

    @registry.subscribe("paid", queue="audit")
    def audit(event: Event[int]) -> None:
        heard.append(event.id)

    def pay(sql: Sql, cents: int) -> int:
        sql.execute("INSERT INTO ledger VALUES (%s)", (cents,))
        publish("paid", cents)
        if fails.pop():
            raise RuntimeError("the card was refused")
        return len(sql.execute("SELECT * FROM ledger WHERE cents = %(cents)s", {"cents": cents}))

    @workflow(registry=registry, queue="flows")
    def order(ctx: Run) -> int:
        try:
            return ctx.transaction(pay, 500)
        except StepFailed:
            return ctx.transaction(pay, 700)

    fails.insert(0, False)
    declare(broker, registry)
    with using(broker):
        run = order.delay()
        drain(broker, registry, raise_errors=False)
        assert run.get(timeout=0) == 1
    assert ledger(broker) == [(700,)]
    assert len(heard) == 1


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("COMMIT", "COMMIT"),
        ("  -- now\n rollback", "ROLLBACK"),
        ("/* x */ savepoint a", "SAVEPOINT"),
        ("SET search_path = x", "SET"),
        ("DELETE FROM taskflow.message", "the schema 'taskflow'"),
        ('INSERT INTO "taskflow".queue VALUES (1)', "the schema 'taskflow'"),
        ("DROP TABLE IF EXISTS taskflow.topic", "the schema 'taskflow'"),
    ],
)
def test_what_it_may_not_do(broker: StoredBroker, sql: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        broker.within(lambda own: own.execute(sql))
    assert ledger(broker) == []


def test_it_does_one_statement_at_a_time_and_none_when_it_has_ended(broker: StoredBroker) -> None:
    kept: list[Sql] = []
    broker.within(kept.append)
    with pytest.raises(ValueError, match="has ended"):
        kept[0].execute("SELECT 1")
    with pytest.raises(Exception, match="multiple commands"):
        broker.within(lambda own: own.execute("INSERT INTO ledger VALUES (1); COMMIT"))
    assert ledger(broker) == []
