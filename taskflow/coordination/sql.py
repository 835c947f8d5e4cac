"""Finished and running events in a table of a SQL database, for all workers that reach it.

The table `taskflow_events` is made when it is missing: the text key `id`, the number `until`
(epoch seconds), and on what is being run the text `holder`.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from random import Random

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Float,
    MetaData,
    Table,
    Text,
    create_engine,
    delete,
    insert,
    inspect,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError, NoSuchModuleError, SQLAlchemyError

from taskflow.coordination.memory import Found, Held, Key, Run
from taskflow.errors import BrokerUnavailable, ConfigError

SWEEP = 600.0  # seconds between two removals of what is past its time
_READ = 500  # keys of one query

EVENTS = Table(
    "taskflow_events",
    MetaData(),
    Column("id", Text, primary_key=True),
    Column("until", Float(53), nullable=False, index=True),
    Column("holder", Text),
)


class SqlRecords:
    """The contract is `records.Records`."""

    remote = True

    def __init__(self, engine: Engine, random: Random) -> None:
        self._engine = engine
        self._holder = f"{random.getrandbits(96):024x}"
        self._held = Held()
        self._made = False
        self._swept = 0.0

    def claim(self, run: Run, until: float, now: float, take_over: bool) -> Found | None:
        free = EVENTS.c.until <= now
        if take_over:
            free = or_(free, EVENTS.c.holder.is_not(None))
        mine = {"until": until, "holder": self._holder}
        id = run.key.write()
        for _ in range(2):  # a row may be deleted between the look and the update
            with self._connect() as connection:
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
            with self._connect() as connection:
                connection.execute(insert(EVENTS).values(id=id, **values))
        except _Exists:
            return False
        return True

    def extend(self, runs: Iterable[tuple[Run, float]]) -> None:
        chosen = [(run.key, until) for run, until in runs if run in self._held]
        if not chosen:
            return
        with self._connect() as connection:
            for key, until in chosen:
                connection.execute(update(EVENTS).where(*self._mine(key)).values(until=until))

    def release(self, runs: Iterable[Run]) -> None:
        chosen = [run.key for run in runs if self._held.drop(run)]
        if not chosen:
            return
        with self._connect() as connection:
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
                with self._connect() as connection:
                    self._sweep(connection, now)
                    connection.execute(delete(EVENTS).where(EVENTS.c.id.in_(rows)))
                    connection.execute(
                        insert(EVENTS),
                        [{"id": id, "until": until, "holder": None} for id, until in rows.items()],
                    )
                break
            except _Exists:  # claimed by another meanwhile
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
        with self._connect() as connection:
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
        self._engine.dispose()

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        """A transaction. Raises BrokerUnavailable."""
        try:
            if not self._made:
                self._make()
            with self._engine.begin() as connection:
                yield connection
        except IntegrityError as error:
            raise _Exists(_short(error)) from error
        except SQLAlchemyError as error:
            raise BrokerUnavailable(
                f"{self._engine.url.render_as_string()}: {_short(error)}"
            ) from error

    def _make(self) -> None:
        try:
            EVENTS.create(self._engine, checkfirst=True)
        except SQLAlchemyError:
            if not inspect(self._engine).has_table(EVENTS.name):
                raise  # else another worker was faster
        self._made = True


class _Exists(Exception):
    """There is a row of that key."""


def _short(error: SQLAlchemyError) -> str:
    cause = getattr(error, "orig", None) or error
    return " ".join(str(cause).split())


def open_sql_records(url: str, random: Random) -> SqlRecords:
    """Raises ConfigError for an address that SQLAlchemy does not know, without its password."""
    try:
        return SqlRecords(create_engine(url, pool_pre_ping=True), random)
    except (NoSuchModuleError, ImportError) as error:
        raise ConfigError(f"no driver for the database of idempotency=: {error}") from None
    except (SQLAlchemyError, ValueError):
        raise ConfigError(
            "idempotency= is no address of a database; write postgresql+psycopg://user@host/name"
        ) from None
