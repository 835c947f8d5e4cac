"""The schema, and how it is brought up to date: numbered files, each applied once.

Nothing but `migrate` changes a schema that is there; one that is not is made by whoever opens the
broker first, if the role may.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from taskflow.errors import BrokerUnavailable, ConfigError
from taskflow.stores.postgres.connecting import Server
from taskflow.stores.postgres.texts import Texts

SEEN_WITHIN = 30.0
"""Seconds: a worker that reported so lately is at work."""
_SCHEMA = "CREATE SCHEMA IF NOT EXISTS"
_VERSIONS = "CREATE TABLE IF NOT EXISTS tf.version (number integer PRIMARY KEY)"
_DONE = "INSERT INTO tf.version (number) VALUES ({})"
_VERSION = "SELECT max(number) FROM tf.version"
_TABLES = """
SELECT c.relname, EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a
                          WHERE a.attrelid = c.oid AND a.attname = 'number')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"""
_UNFINISHED = """
SELECT c.relname FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND NOT i.indisvalid"""

_RIGHTS = """\
-- A role that works with these tables and did not make them needs, after each migration again:
--   GRANT USAGE ON SCHEMA NAME TO its_name;
--   GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA NAME TO its_name;
--   GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA NAME TO its_name;"""
_APART = """\
-- In no transaction. If it was cut short before, drop what it left first:
--   SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid;"""


class Migration(NamedTuple):
    """Numbered from 1 without gaps. `apart`: its statements cannot run in a transaction (indexes
    that are built while others write: `CREATE INDEX CONCURRENTLY IF NOT EXISTS`), and each may be
    run again after it was cut short."""

    number: int
    text: str
    apart: bool = False

    @property
    def title(self) -> str:
        """What it is about: its first line."""
        return self.text.partition("\n")[0].removeprefix("--").strip()


def migrations() -> list[Migration]:
    """All there are, in order."""
    found = []
    folder = files("taskflow.stores.postgres") / "migrations"
    for file in sorted(folder.iterdir(), key=lambda one: one.name):
        number, _, rest = file.name.partition(".")
        if rest in ("sql", "apart.sql"):
            found.append(Migration(int(number), file.read_text(), rest == "apart.sql"))
    return found


class Migrator:
    """Over one connection of its own, of which each statement stands for itself."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        server: Server,
        steps: Sequence[Migration] | None = None,
    ) -> None:
        self._connection = connection
        self._server = server
        self._texts = Texts(server.schema)
        self._steps = list(migrations() if steps is None else steps)

    @property
    def newest(self) -> int:
        """The version that this release works with."""
        return self._steps[-1].number

    @property
    def shown(self) -> str:
        """The schema, for people."""
        return f"the schema {self._server.schema!r} of {self._server.shown}"

    def version(self) -> int:
        """That of the schema; 0 when there is none, or nothing is in it. Raises ConfigError when it
        is somebody else's."""
        tables = dict(self._rows(_TABLES, (self._server.schema,)))
        if not tables:
            return 0
        if not tables.get("version") or (len(tables) > 1 and "message" not in tables):
            raise ConfigError(
                f"{self.shown} holds tables that are not taskflow's; give it one of its own: "
                "?schema=NAME"
            )
        ((found,),) = self._rows(_VERSION)
        return found or 0

    def check(self) -> None:
        """Raise BrokerUnavailable when the schema is not that of this release, ConfigError when it
        is somebody else's."""
        pending = self.pending()
        if len(pending) == len(self._steps):
            raise BrokerUnavailable(
                f"{self.shown} is empty; `taskflow migrate` or `taskflow topology apply` sets it up"
            )
        if pending:
            raise BrokerUnavailable(
                f"{self.shown} has version {pending[0].number - 1}, and this taskflow needs "
                f"{self.newest}: run `taskflow migrate`"
            )

    def set_up(self) -> None:
        """Make the schema if there is nothing in it; several may at once."""
        if len(self.pending()) == len(self._steps):
            self.migrate()

    def pending(self) -> list[Migration]:
        """What `migrate` would apply. Raises BrokerUnavailable for a schema of a newer release."""
        found = self.version()
        if found > self.newest:
            raise BrokerUnavailable(
                f"{self.shown} has version {found}, and this taskflow knows {self.newest}: "
                "a newer one made it; update this one"
            )
        return [one for one in self._steps if one.number > found]

    def script(self) -> str:
        """What `migrate` would run, for people who run it themselves, and what a role needs that
        works with the schema. Raises as `pending` does."""
        steps = self.pending()
        name = sql.Identifier(self._server.schema).as_string()
        parts = [_RIGHTS.replace("NAME", name)]
        if steps and steps[0].number == 1:
            parts.append(f"{_SCHEMA} {name};\n{self._texts[_VERSIONS]};")
        for one in steps:
            body = self._texts[f"{one.text.strip()}\n{_DONE.format(one.number)};"]
            parts.append(f"{_APART}\n{body}" if one.apart else f"BEGIN;\n{body}\nCOMMIT;")
        return "\n\n".join(parts)

    def migrate(self, force: bool = False) -> list[Migration]:
        """Apply what is pending, and answer it. Raises BrokerUnavailable while workers are at work
        that reported lately, if not forced: they know the old schema."""
        with self._alone():
            pending = self.pending()
            if pending and pending[0].number == 1:
                self._make_schema()
            elif pending and not force:
                self._refuse_workers()
            for one in pending:
                self._apply(one)
        return pending

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else migrates meanwhile."""
        key = (f"taskflow migration {self._server.schema}",)
        if not self._server.pooled:
            # Who waits in one statement would be waited for by an index that is built meanwhile.
            while not self._rows("SELECT pg_try_advisory_lock(hashtextextended($1, 0))", key)[0][0]:
                self._rows("SELECT pg_sleep(0.1)")
            try:
                yield
            finally:
                self._rows("SELECT pg_advisory_unlock(hashtextextended($1, 0))", key)
            return
        if any(one.apart for one in self.pending()):
            raise ConfigError(
                f"{self.shown} lacks indexes, which cannot be built through a pooler; give "
                "`taskflow migrate` the address of the server itself, without pooled=true"
            )
        with self._connection.transaction():  # a pooler gives the connection away after each
            self._rows("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", key)
            yield

    def _make_schema(self) -> None:
        name = sql.Identifier(self._server.schema).as_string()
        there = self._rows("SELECT 1 FROM pg_namespace WHERE nspname = $1", (self._server.schema,))
        if not there:  # asked first: who may use a schema may perhaps not make one
            self._connection.execute(f"{_SCHEMA} {name}".encode(), prepare=False)
        self._run(_VERSIONS)

    def _apply(self, one: Migration) -> None:
        done = _DONE.format(one.number)
        if one.apart:
            for (name,) in self._rows(_UNFINISHED, (self._server.schema,)):  # was cut short
                self._run(f"DROP INDEX CONCURRENTLY tf.{sql.Identifier(name).as_string()}")
            for statement in _statements(one.text):
                self._run(statement)
            self._run(done)
            return
        with self._connection.transaction():
            self._run(one.text)
            self._run(done)

    def _refuse_workers(self) -> None:
        ((working,),) = self._rows(
            """SELECT count(*) FROM tf.worker
               WHERE seen_at > extract(epoch FROM clock_timestamp())::float8 - $1::float8""",
            (SEEN_WITHIN,),
        )
        if working:
            raise BrokerUnavailable(
                f"{working} workers of an older release are at work over {self._server.shown}, and "
                "know its tables as they are: stop them first, or say --force if they are gone"
            )

    def _run(self, text: str) -> None:
        self._connection.execute(self._texts[text], prepare=False)

    def _rows(self, text: str, values: Sequence[object] = ()) -> list[Any]:
        return self._connection.execute(self._texts[text], values, prepare=False).fetchall()


def _statements(text: str) -> list[str]:
    """Those of a file of which each runs by itself: divided by lines that end with a semicolon."""
    found = [one.strip() for one in text.split(";\n")]
    return [one.rstrip(";") for one in found if one.rstrip(";")]
