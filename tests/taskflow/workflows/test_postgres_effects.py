"""A step in a PostgreSQL database of the user's, over psycopg 3: its effect is there once."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from taskflow import AsyncRun, Broker, Registry, Run, Worker, publish, workflow
from taskflow.errors import StepFailed, WorkflowError
from taskflow.registry import default_registry
from taskflow.testing import ManualClock
from taskflow.workflows.markers import TABLE
from tests.postgres_server import PostgresServer
from tests.taskflow.sealing.test_sealing import seal, unseal
from tests.taskflow.workflows.conftest import Go
from tests.taskflow.workflows.test_crashes import Died

pytestmark = pytest.mark.slow  # the server starts


@pytest.fixture
def connection(postgres: PostgresServer) -> Iterator[Any]:
    """A connection to an empty ledger."""
    with psycopg.connect(postgres.address(), row_factory=psycopg.rows.dict_row) as opened:
        opened.execute(f"DROP TABLE IF EXISTS {TABLE}, ledger")
        opened.execute("CREATE TABLE ledger (cents integer)")
        opened.commit()
        yield opened


def paid(connection: Any) -> list[int]:
    """What is in the ledger for others to see."""
    with connection.transaction():
        return [row["cents"] for row in connection.execute("SELECT cents FROM ledger")]


@pytest.mark.parametrize("dies", ["inside", "after", "never"])
def test_a_death_leaves_one_effect(
    taskflow_registry: Registry,
    taskflow_broker: Broker,
    taskflow_clock: ManualClock,
    connection: Any,
    monkeypatch: pytest.MonkeyPatch,
    dies: str,
) -> None:
    deaths = [] if dies == "never" else [dies]
    monkeypatch.setattr(default_registry, "codec", None)
    taskflow_registry.codec = (seal, unseal)

    def pay(found: Any, cents: int) -> str:
        found.execute("INSERT INTO ledger VALUES (%s)", (cents,))
        if deaths == ["inside"]:
            deaths.clear()
            raise Died
        return f"paid {cents}"

    @workflow(registry=taskflow_registry, queue="flows")
    def flow(ctx: Run) -> list[str]:
        first = ctx.transaction_on(connection, pay, 500)
        if deaths:  # its lease ends before it can keep the step
            deaths.clear()
            taskflow_clock.advance(31)
        return [first, ctx.options(name="once-more", key=7).transaction_on(connection, pay, 700)]

    worker = Worker(taskflow_broker, registry=taskflow_registry)
    run = flow.delay()
    for _ in range(3):
        with suppress(Died):
            worker.drain()
        taskflow_clock.advance(31)
    assert run.get(0) == ["paid 500", "paid 700"]
    assert [step.id for step in run.tree().steps] == ["pay", "once-more[7]"]
    assert paid(connection) == [500, 700]
    kept = connection.execute(f"SELECT step, result FROM {TABLE} ORDER BY at, step").fetchall()
    assert {row["step"] for row in kept} == {f"{run.id}:pay", f"{run.id}:once-more[7]"}
    assert all(row["result"].startswith('"taskflow.sealed:') for row in kept)


def test_a_coroutine_has_them_too(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go, connection: Any
) -> None:
    def pay(found: Any) -> int:
        found.execute("INSERT INTO ledger VALUES (5)")
        return 5

    @workflow(registry=taskflow_registry, queue="flows")
    async def flow(ctx: AsyncRun) -> int:
        first = await ctx.transaction_on(connection, pay)
        return first + await ctx.options(key="b").transaction_on(connection, pay)

    Worker(taskflow_broker, registry=taskflow_registry)
    run = flow.delay()
    go()
    assert run.get(0) == 10
    assert paid(connection) == [5, 5]


def test_what_cannot_be_is_refused_and_undone(
    taskflow_registry: Registry,
    taskflow_broker: Broker,
    go: Go,
    connection: Any,
    postgres: PostgresServer,
) -> None:
    def pay(found: Any) -> None:
        found.execute("INSERT INTO ledger VALUES (5)")

    def sends(found: Any) -> None:
        pay(found)
        publish("paid", 1)

    def fails(found: Any) -> None:
        pay(found)
        found.execute("INSERT INTO ledger VALUES ('x')")

    def commits(found: Any) -> None:
        pay(found)
        found.commit()

    @workflow(registry=taskflow_registry, queue="flows")
    def flow(ctx: Run) -> list[str]:
        said = []
        for function in (sends, fails, commits):
            try:
                ctx.transaction_on(connection, function)
            except StepFailed as failed:
                said.append(f"{failed.error.type}: {failed.error.message}")
        with psycopg.connect(postgres.address()) as busy:
            busy.execute("SELECT 1")
            for odd in (busy, psycopg.AsyncConnection, "postgresql://"):
                try:
                    ctx.transaction_on(odd, pay)
                except (TypeError, WorkflowError) as refused:
                    said.append(str(refused))
        return said

    taskflow_broker.create_topic("paid")
    Worker(taskflow_broker, registry=taskflow_registry)
    run = flow.delay()
    go(advance=True)
    said = run.get(0)
    assert "sends within transaction_on" in said[0]
    assert "invalid input syntax" in said[1]
    assert "ProgrammingError" in said[2]
    assert "is in a transaction already" in said[3]
    assert said[4:] == [
        "transaction_on takes an SQLAlchemy engine, or a connection of psycopg 3; this is a "
        f"builtins.{kind}"
        for kind in ("type", "str")
    ]
    assert paid(connection) == []
