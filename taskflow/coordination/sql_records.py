"""SqlRecords: finished and running events in a table of a SQL database, for all who reach it.

The table `taskflow_events` is made when it is missing: the text key `id`, the number `until`
(epoch seconds), and on what is being run the text `holder`.
"""

from collections.abc import Collection, Iterable, Sequence
from random import Random

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Float,
    Table,
    Text,
    delete,
    insert,
    or_,
    select,
    update,
)

from taskflow.coordination.event_records import Found, Held, Key, Run
from taskflow.coordination.sql_database import TABLES, RowExists, SqlDatabase

SWEEP = 600.0  # seconds between two removals of what is past its time
_READ = 500  # keys of one query

EVENTS = Table(
    "taskflow_events",
    TABLES,
    Column("id", Text, primary_key=True),
    Column("until", Float(53), nullable=False, index=True),
    Column("holder", Text),
)


class SqlRecords:
    """The contract is `records.Records`."""

    remote = True

    def __init__(self, database: SqlDatabase, random: Random) -> None:
        self._database = database
        self._holder = f"{random.getrandbits(96):024x}"
        self._held = Held()
        self._swept = 0.0

    def claim(self, run: Run, until: float, now: float, take_over: bool) -> Found | None:
        free = EVENTS.c.until <= now
        if take_over:
            free = or_(free, EVENTS.c.holder.is_not(None))
        mine = {"until": until, "holder": self._holder}
        id = run.key.write()
        for _ in range(2):  # a row may be deleted between the look and the update
            with self._database.connect() as connection:
                changed = connection.execute(
                    update(EVENTS).where(EVENTS.c.id == id, free).values(mine)
                )
                if not changed.rowcount:
                    found = connection.execute(
                        select(EVENTS.c.holder, EVENTS.c.until).where(EVENTS.c.id == id)
                    ).first()
                    if found is not None:
                        return Found(found.holder is None, found.until)
            if changed.rowcount or self._insert(id, mine):
                self._held.add(run)
                return None
        return Found(False, now)  # others come and go: it may be asked again at once

    def _insert(self, id: str, values: dict[str, object]) -> bool:
        """Whether there was none yet."""
        try:
            with self._database.connect() as connection:
                connection.execute(insert(EVENTS).values(id=id, **values))
        except RowExists:
            return False
        return True

    def extend(self, runs: Iterable[tuple[Run, float]]) -> None:
        chosen = [(run.key, until) for run, until in runs if run in self._held]
        if not chosen:
            return
        with self._database.connect() as connection:
            for key, until in chosen:
                connection.execute(update(EVENTS).where(*self._mine(key)).values(until=until))

    def release(self, runs: Iterable[Run]) -> None:
        chosen = [run.key for run in runs if self._held.drop(run)]
        if not chosen:
            return
        with self._database.connect() as connection:
            for key in chosen:
                connection.execute(delete(EVENTS).where(*self._mine(key)))

    def _mine(self, key: Key) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        return EVENTS.c.id == key.write(), EVENTS.c.holder == self._holder

    def remember(self, keys: Sequence[tuple[Key, float]], now: float) -> None:
        if not keys:
            return
        rows = {key.write(): until for key, until in keys}
        while True:
            try:
                with self._database.connect() as connection:
                    self._sweep(connection, now)
                    connection.execute(delete(EVENTS).where(EVENTS.c.id.in_(rows)))
                    connection.execute(
                        insert(EVENTS),
                        [{"id": id, "until": until, "holder": None} for id, until in rows.items()],
                    )
                break
            except RowExists:  # claimed by another meanwhile
                continue
        for key, _ in keys:
            self._held.forget(key)

    def _sweep(self, connection: Connection, now: float) -> None:
        if now - self._swept >= SWEEP:
            self._swept = now
            connection.execute(delete(EVENTS).where(EVENTS.c.until <= now))

    def finished(self, keys: Collection[Key], now: float) -> set[Key]:
        by_id = {key.write(): key for key in keys}
        ids = list(by_id)
        found: set[Key] = set()
        with self._database.connect() as connection:
            for start in range(0, len(ids), _READ):
                rows = connection.execute(
                    select(EVENTS.c.id).where(
                        EVENTS.c.id.in_(ids[start : start + _READ]),
                        EVENTS.c.holder.is_(None),
                        EVENTS.c.until > now,
                    )
                )
                found.update(by_id[row.id] for row in rows)
        return found

    def close(self) -> None:
        """Close the database's connections."""
        self._database.close()
