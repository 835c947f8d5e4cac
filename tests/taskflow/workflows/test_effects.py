"""An effect that is there once, in four ways, whatever dies between two calls."""

import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

from taskflow import AsyncRun, Broker, Event, Registry, Run, Worker, publish, workflow
from taskflow.broker.own_sql import Sql
from taskflow.config import open_broker
from taskflow.errors import StepFailed, StepInterrupted
from taskflow.publisher import using
from taskflow.testing import ManualClock
from taskflow.workflows import transactions
from tests.taskflow.workflows.conftest import Go
from tests.taskflow.workflows.test_crashes import Died, Mortal, When

KINDS = ["own file", "own file, async", "user's database", "key", "at most once"]


class Shop:
    """One order is paid for, by one of the ways, and the worker dies at a call or inside."""

    def __init__(self, kind: str, folder: Path, dies_inside: bool = False) -> None:
        self.clock = ManualClock()
        self.broker = open_broker(f"sqlite:///{folder}/broker.db", clock=self.clock)
        self.engine: Engine = create_engine(f"sqlite:///{folder}/shop.db")
        self.registry = registry = Registry()
        self.dies_inside = dies_inside
        self.charged: dict[str, int] = {}
        self.interrupted = True
        self.paid: set[str] = set()
        registry.subscribe("paid", queue="audit")(self.audit)
        with self.engine.begin() as connection:
            connection.execute(text("CREATE TABLE ledger (cents INTEGER)"))
        function: Any = {
            "own file": self._own,
            "own file, async": self._own_async,
            "user's database": self._users,
            "key": self._key,
            "at most once": self._once,
        }[kind]
        self.flow = workflow(registry=registry, queue="flows", name="flow")(function)

    def audit(self, event: Event[int]) -> None:
        """Handles `paid`."""
        assert event.payload == 500
        self.paid.add(event.id)

    def _die(self) -> None:
        if self.dies_inside:
            self.dies_inside = False
            raise Died

    def _in_file(self, sql: Sql, cents: int) -> int:
        sql.execute("CREATE TABLE IF NOT EXISTS ledger (cents INTEGER) STRICT")
        sql.execute("INSERT INTO ledger VALUES (?)", (cents,))
        publish("paid", cents)
        self._die()
        return len(sql.execute("SELECT cents FROM ledger"))

    def _in_database(self, connection: Any, cents: int) -> int:
        connection.execute(text("INSERT INTO ledger VALUES (:cents)"), {"cents": cents})
        self._die()
        return 1

    def _own(self, ctx: Run) -> int:
        return ctx.options(name="pay", key=500).transaction(self._in_file, 500)

    async def _own_async(self, ctx: AsyncRun) -> int:
        return await ctx.options(key=500).transaction(self._in_file, 500)

    def _users(self, ctx: Run) -> int:
        done = ctx.transaction_on(self.engine, self._in_database, 500)
        publish("paid", 500)
        return done

    def _charge(self, key: str) -> int:
        self.charged.setdefault(key, 500)
        self._die()
        return 1

    def _key(self, ctx: Run) -> int:
        def charge() -> int:
            return self._charge(ctx.key)

        done = ctx.step(charge)
        publish("paid", 500)
        return done

    def _once(self, ctx: Run) -> int:
        try:
            ctx.options(at_most_once=True).step(self._charge, "k")
        except StepFailed as failed:
            self.interrupted = failed.is_a(StepInterrupted)
        publish("paid", 500)
        return 1

    def live(self, at: int = 0, when: When = "before") -> tuple[int, int]:
        """Answers the result, and how many calls a worker could have died at."""
        with using(self.broker):
            Worker(self.broker, registry=self.registry)
            run = self.flow.options(id="run").delay()
            mortal: Any = Mortal(self.broker, at, when)
            calls = mortal
            for _ in range(5):
                try:
                    worker = Worker(mortal, registry=self.registry)
                    while worker.step(limit=1):
                        pass
                    if run.ready:
                        break
                except Died:
                    mortal = self.broker
                self.clock.advance(31)
            return run.get(0), calls.calls

    def effects(self) -> list[int]:
        """What was paid: in the file, the database, or by the key."""
        with self.engine.begin() as connection:
            rows = list(connection.execute(text("SELECT cents FROM ledger")))
        found = [int(row[0]) for row in rows] + list(self.charged.values())
        tables: list[tuple[int]] = self.broker.within(  # type: ignore[attr-defined]
            lambda sql: sql.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'ledger'")
        )
        if tables[0][0]:
            rows = self.broker.within(  # type: ignore[attr-defined]
                lambda sql: sql.execute("SELECT cents FROM ledger")
            )
            found += [int(row[0]) for row in rows]
        return found

    def close(self) -> None:
        """Let go of the files."""
        self.engine.dispose()
        self.broker.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_death_at_any_point_leaves_one_effect(kind: str, tmp_path: Path) -> None:
    number, at = 0, 0
    calls = 1
    while at <= calls:
        for when in ("before", "after") if at else ("before",):
            folder = tmp_path / str(number)
            folder.mkdir()
            shop = Shop(kind, folder)
            result, seen = shop.live(at, when)
            if not at:
                calls = seen
                assert calls >= 4
            assert result == 1
            assert len(shop.paid) == 1, (at, when)
            least = 0 if kind == "at most once" else 1
            assert least <= len(shop.effects()) <= 1, (at, when)
            assert shop.interrupted
            shop.close()
            number += 1
        at += 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_death_inside_leaves_one_effect(kind: str, tmp_path: Path) -> None:
    shop = Shop(kind, tmp_path, dies_inside=True)
    assert shop.live()[0] == 1
    assert shop.effects() == [500]
    assert len(shop.paid) == 1
    shop.close()


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("ATTACH 'other.db' AS other", "ATTACH: a crash tears a transaction"),
        ("DETACH main", "DETACH"),
        ("COMMIT", "the transaction is the step's"),
        ("SAVEPOINT x", "the transaction is the step's"),
        ("PRAGMA journal_mode = DELETE", "PRAGMA"),
        ("DELETE FROM message", "the broker's own table 'message'"),
        ("INSERT INTO record (kind) VALUES (1)", "the broker's own table 'record'"),
        ("UPDATE queue SET paused = 1", "the broker's own table 'queue'"),
        ("UPDATE cause SET count = 0", "the broker's own table 'cause'"),
        ("DROP TABLE topic", "the broker's own table 'topic'"),
        ("CREATE INDEX mine ON message (id)", "the broker's own table 'message'"),
    ],
)
def test_what_a_transaction_may_not_do(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go, sql: str, why: str
) -> None:
    @workflow(registry=taskflow_registry)
    def flow(ctx: Run) -> str:
        try:
            ctx.options(name="odd")
            ctx.transaction(lambda_of(sql))
        except StepFailed as failed:
            return str(failed.error.message)
        return "?"

    Worker(taskflow_broker, registry=taskflow_registry)
    run = flow.delay()
    go()
    assert why in str(run.get(0))


def lambda_of(statement: str) -> Any:
    """A function with a name that runs it."""

    def odd(sql: Sql) -> None:
        sql.execute(statement)

    return odd


def test_a_failed_transaction_leaves_nothing_and_may_be_tried_again(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go
) -> None:
    kept: list[Sql] = []

    def pay(sql: Sql) -> list[Any]:
        kept.append(sql)
        sql.execute("CREATE TABLE IF NOT EXISTS ledger (cents INTEGER)")
        sql.execute("INSERT INTO ledger VALUES (:cents)", {"cents": 5})
        publish("nowhere.declared", {})
        if len(kept) < 2:
            raise OSError("once more")
        return sql.execute("SELECT cents FROM ledger")

    taskflow_broker.create_topic("nowhere.declared")

    @workflow(registry=taskflow_registry)
    def flow(ctx: Run) -> list[Any]:
        return ctx.transaction(pay)

    Worker(taskflow_broker, registry=taskflow_registry)
    run = flow.delay()
    go(advance=True)
    assert run.get(0) == [[5]]
    with pytest.raises(ValueError, match="has ended"):
        kept[0].execute("SELECT 1")


def test_a_transaction_that_takes_long_is_undone(
    taskflow_registry: Registry, taskflow_broker: Broker, taskflow_clock: ManualClock, go: Go
) -> None:
    def slow(sql: Sql) -> None:
        taskflow_clock.advance(transactions.LONGEST + 0.5)

    @workflow(registry=taskflow_registry)
    def flow(ctx: Run) -> None:
        ctx.transaction(slow)

    Worker(taskflow_broker, registry=taskflow_registry)
    run = flow.delay()
    go(advance=True)
    assert run.error is not None
    assert "kept the broker from writing for 1.5 s; 1 s are allowed" in run.error.message


def test_what_cannot_be_part_of_a_transaction_elsewhere_is_refused(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go, tmp_path: Path
) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/shop.db")

    def sends(connection: Any) -> None:
        publish("paid", 1)

    @workflow(registry=taskflow_registry)
    def flow(ctx: Run) -> list[str]:
        said = []
        for odd in (engine, object()):
            try:
                ctx.transaction_on(odd, sends)
            except (StepFailed, TypeError) as failed:
                said.append(str(failed))
        return said

    taskflow_broker.create_topic("paid")
    Worker(taskflow_broker, registry=taskflow_registry)
    run = flow.delay()
    go(advance=True)
    first, second = run.get(0)
    assert "sends within transaction_on" in first
    assert (
        "takes an SQLAlchemy engine, or a connection of psycopg 3; this is a builtins.object"
        in second
    )
    engine.dispose()


def test_who_has_a_transaction_has_the_steps_of_its_run_first(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go
) -> None:
    """Else a step side by side, which keeps its result, waits for the broker while the transaction
    waits for the steps."""
    free: list[bool] = []

    def look(sql: Sql) -> None:
        lock = context[0].journal.lock
        other = threading.Thread(target=lambda: free.append(lock.acquire(blocking=False)))
        other.start()
        other.join(30)

    @workflow(registry=taskflow_registry)
    async def flow(ctx: AsyncRun) -> None:
        context.append(ctx)
        await ctx.gather(ctx.transaction(look), (len, "x"))

    context: list[AsyncRun] = []
    Worker(taskflow_broker, registry=taskflow_registry)
    run = flow.delay()
    go()
    assert run.get(0) is None
    assert free == [False]
