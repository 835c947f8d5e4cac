"""SqlStore: pauses, rates, leases and reports in tables of a SQL database, for all who reach it."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec
from sqlalchemy import (
    Column,
    Connection,
    Float,
    Table,
    Text,
    case,
    delete,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.sql import Insert, Update

from taskflow.broker.settings import WorkerReport
from taskflow.buckets import capacity, drawn, tokens_in
from taskflow.coordination.sql_database import TABLES, RowExists, SqlDatabase
from taskflow.errors import BrokerUnavailable

SKEW = 5.0  # seconds that the clocks of hosts may differ without being taken for set back
_TRIES = 5  # of an insert that another was faster with

PAUSES = Table("taskflow_pauses", TABLES, Column("queue", Text, primary_key=True))
BUCKETS = Table(
    "taskflow_buckets",
    TABLES,
    Column("name", Text, primary_key=True),
    Column("tokens", Float(53), nullable=False),
    Column("at", Float(53), nullable=False),
)
LEASES = Table(
    "taskflow_leases",
    TABLES,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("until", Float(53), nullable=False),
)
WORKERS = Table(
    "taskflow_workers",
    TABLES,
    Column("id", Text, primary_key=True),
    Column("seen_at", Float(53), nullable=False),
    Column("report", Text, nullable=False),
)
IDENTITY = Table(
    "taskflow_identity",
    TABLES,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
T = TypeVar("T")
_read = msgspec.json.Decoder(WorkerReport).decode


class SqlStore:
    """The contract is `coordination_store.CoordinationStore`."""

    remote = True

    def __init__(self, database: SqlDatabase) -> None:
        self._database = database

    # ---- pauses -----------------------------------------------------------------------------
    def pause(self, queue: str, paused: bool) -> None:
        if not paused:
            with self._database.connect() as connection:
                connection.execute(delete(PAUSES).where(PAUSES.c.queue == queue))
        elif queue not in self.paused():
            self._insert(insert(PAUSES).values(queue=queue))

    def paused(self) -> frozenset[str]:
        with self._database.connect() as connection:
            return frozenset(row.queue for row in connection.execute(select(PAUSES.c.queue)))

    # ---- rates ------------------------------------------------------------------------------
    def take(self, name: str, per_second: float, tokens: float, now: float) -> float:
        chosen = select(BUCKETS.c.tokens, BUCKETS.c.at).where(BUCKETS.c.name == name)

        def look(connection: Connection) -> float | None:
            found = connection.execute(chosen).first()
            if found is None:
                return capacity(per_second)
            if found.at > now + SKEW:  # the clock was set back
                return None
            return tokens_in((found.tokens, found.at), per_second, now)

        def draw(connection: Connection) -> float | None:
            """The row is locked by the update, so what is read after it is what it made."""
            changed = connection.execute(_draw(name, per_second, tokens, now))
            if not changed.rowcount:
                return None
            return float(connection.execute(chosen).one().tokens)

        if not tokens:
            with self._database.connect() as connection:
                if (left := look(connection)) is not None:
                    return left
        left, at = drawn(None, per_second, tokens, now)
        return self._change(draw, insert(BUCKETS).values(name=name, tokens=left, at=at), left)

    # ---- one of many ------------------------------------------------------------------------
    def hold(self, name: str, holder: str, seconds: float, now: float) -> bool:
        mine = {"holder": holder, "until": now + seconds}
        free = or_(LEASES.c.holder == holder, LEASES.c.until <= now)

        def seize(connection: Connection) -> bool | None:
            changed = connection.execute(
                update(LEASES).where(LEASES.c.name == name, free).values(mine)
            )
            if changed.rowcount:
                return True
            found = connection.execute(select(LEASES.c.name).where(LEASES.c.name == name)).first()
            return None if found is None else False

        return self._change(seize, insert(LEASES).values(name=name, **mine), True)

    # ---- workers ----------------------------------------------------------------------------
    def report(self, worker: WorkerReport) -> None:
        row = {"seen_at": worker.seen_at, "report": msgspec.json.encode(worker).decode()}
        self._put(
            update(WORKERS).where(WORKERS.c.id == worker.id).values(row),
            insert(WORKERS).values(id=worker.id, **row),
        )

    def retire(self, worker_id: str) -> None:
        with self._database.connect() as connection:
            connection.execute(delete(WORKERS).where(WORKERS.c.id == worker_id))

    def workers(self, since: float, drop_before: float) -> list[WorkerReport]:
        with self._database.connect() as connection:
            found = connection.execute(select(WORKERS).order_by(WORKERS.c.id)).all()
            if any(row.seen_at < drop_before for row in found):
                connection.execute(delete(WORKERS).where(WORKERS.c.seen_at < drop_before))
        return [_read(row.report) for row in found if row.seen_at >= since]

    # ---- the wire server --------------------------------------------------------------------
    def identity(self) -> dict[str, str]:
        with self._database.connect() as connection:
            return {row.name: row.value for row in connection.execute(select(IDENTITY))}

    def set_identity(self, values: Mapping[str, str]) -> None:
        for name, value in values.items():
            self._put(
                update(IDENTITY).where(IDENTITY.c.name == name).values(value=value),
                insert(IDENTITY).values(name=name, value=value),
            )

    def close(self) -> None:
        """Close the database's connections."""
        self._database.close()

    # ---- small steps ------------------------------------------------------------------------
    def _insert(self, statement: Insert) -> bool:
        """Whether there was none yet."""
        try:
            with self._database.connect() as connection:
                connection.execute(statement)
        except RowExists:
            return False
        return True

    def _put(self, change: Update, new: Insert) -> None:
        def put(connection: Connection) -> bool | None:
            return True if connection.execute(change).rowcount else None

        self._change(put, new, True)

    def _change(self, change: Callable[[Connection], T | None], new: Insert, answer: T) -> T:
        """What `change` answers of the row there is, or `answer` once `new` has made one. (Another
        may be faster with that; then there is a row.)"""
        for _ in range(_TRIES):
            with self._database.connect() as connection:
                found = change(connection)
            if found is not None:
                return found
            if self._insert(new):
                return answer
        raise BrokerUnavailable(f"a row of {new.table.name} came and went {_TRIES} times")


def _draw(name: str, per_second: float, tokens: float, now: float) -> Update:
    """One update that fills a bucket up to now and takes from it, as `buckets.drawn` does: atomic
    on any database."""
    most, at = capacity(per_second), BUCKETS.c.at
    filled = BUCKETS.c.tokens + case((at < now, (now - at) * per_second), else_=0.0)
    return (
        update(BUCKETS)
        .where(BUCKETS.c.name == name)
        .values(
            tokens=case((filled > most, most), else_=filled) - tokens,
            at=case((or_(at < now, at > now + SKEW), now), else_=at),
        )
    )
