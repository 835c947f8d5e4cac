"""The schema, and how it is brought up to date: numbered files, each applied once.

Nothing but `migrate` changes a schema that is there; one that is not is made by whoever opens the
broker first, if the role may.
"""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from taskflow.errors import BrokerUnavailable, ConfigError
from taskflow.stores.postgres.connecting import Server
from taskflow.stores.postgres.texts import Texts

SEEN_WITHIN = 30.0
"""Seconds: a worker that reported so lately is at work."""
_VERSION = "SELECT max(number) FROM tf.version"


class Migration(NamedTuple):
    """Numbered from 1 without gaps. `apart`: its statements cannot run in a transaction (indexes
    that are built while others write), and each may be run again after it was cut short."""

    number: int
    text: str
    apart: bool = False


def migrations() -> list[Migration]:
    """All there are, in order."""
    found = []
    folder = files("taskflow.stores.postgres") / "migrations"
    for file in sorted(folder.iterdir(), key=lambda one: one.name):
        number, _, rest = file.name.partition(".")
        if rest in ("sql", "apart.sql"):
            found.append(Migration(int(number), file.read_text(), rest == "apart.sql"))
    return found


def script(schema: str, after: int = 0) -> str:
    """What `migrate` would run on a schema of that version, for people who run it themselves."""
    texts = Texts(schema)
    name = sql.Identifier(schema).as_string()
    parts = [texts[one].format(schema=name) + ";" for one in _FIRST] if not after else []
    for one in migrations():
        if one.number > after:
            done = texts[f"INSERT INTO tf.version (number) VALUES ({one.number});"]
            body = f"{texts[one.text].strip()}\n{done}"
            parts.append(body if one.apart else f"BEGIN;\n{body}\nCOMMIT;")
    return "\n\n".join(parts) + "\n"


_FIRST = (
    "CREATE SCHEMA IF NOT EXISTS {schema}",
    "CREATE TABLE IF NOT EXISTS tf.version (number integer PRIMARY KEY)",
)


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

    def version(self) -> int:
        """That of the schema; 0 when there is none, or nothing is in it. Raises ConfigError when it
        is somebody else's."""
        (tables,) = self._one(
            """SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n
               ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v')""",
            (self._server.schema,),
        )
        if not tables:
            return 0
        (ours,) = self._one(
            """SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n
               ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = 'version'""",
            (self._server.schema,),
        )
        if not ours:
            raise ConfigError(
                f"the schema {self._server.schema!r} of {self._server.shown} holds tables that are "
                "not taskflow's; give it one of its own: ?schema=NAME"
            )
        (found,) = self._one(_VERSION)
        return found or 0

    def check(self) -> None:
        """Raise ConfigError, or BrokerUnavailable, when the schema is not that of this release."""
        found = self.version()
        if found == self.newest:
            return
        where = f"the schema {self._server.schema!r} of {self._server.shown}"
        if not found:
            raise BrokerUnavailable(
                f"{where} is empty; `taskflow migrate` or `taskflow topology apply` sets it up"
            )
        if found > self.newest:
            raise BrokerUnavailable(
                f"{where} has version {found}, and this taskflow knows {self.newest}: "
                "a newer one made it; update this one"
            )
        raise BrokerUnavailable(
            f"{where} has version {found}, and this taskflow needs {self.newest}: "
            "run `taskflow migrate`"
        )

    def set_up(self) -> None:
        """Make the schema if there is nothing in it; several may at once."""
        if not self.version():
            self.migrate()

    def pending(self) -> list[Migration]:
        """What `migrate` would apply."""
        found = self.version()
        return [one for one in self._steps if one.number > found]

    def migrate(self, force: bool = False) -> list[int]:
        """Apply what is pending; answers the numbers. Raises BrokerUnavailable while workers are at
        work that reported lately, if not forced: they know the old schema."""
        self._connection.execute("SELECT pg_advisory_lock(hashtextextended($1, 0))", (self._key,))
        try:
            exists = self._one(
                "SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = $1",
                (self._server.schema,),
            )[0]
            if not exists:  # asked first: who may use a schema may perhaps not make one
                name = sql.Identifier(self._server.schema).as_string()
                self._run(_FIRST[0].format(schema=name))
            self._run(_FIRST[1])
            pending = self.pending()
            if pending and pending[0].number > 1 and not force:
                self._refuse_workers()
            for one in pending:
                self._apply(one)
        finally:
            self._connection.execute(
                "SELECT pg_advisory_unlock(hashtextextended($1, 0))", (self._key,)
            )
        return [one.number for one in pending]

    def _apply(self, one: Migration) -> None:
        done = f"INSERT INTO tf.version (number) VALUES ({one.number})"
        if one.apart:
            for statement in _statements(one.text):
                self._run(statement)
            self._run(done)
            return
        with self._connection.transaction():
            self._run(one.text)
            self._run(done)

    def _refuse_workers(self) -> None:
        (working,) = self._one(
            """SELECT count(*) FROM tf.worker
               WHERE seen_at > extract(epoch FROM clock_timestamp())::float8 - $1::float8""",
            (SEEN_WITHIN,),
        )
        if working:
            raise BrokerUnavailable(
                f"{working} workers are at work over {self._server.shown}; stop them first, or "
                "say --force when they are of this version already"
            )

    @property
    def _key(self) -> str:
        return f"taskflow migration {self._server.schema}"

    def _run(self, text: str) -> None:
        self._connection.execute(self._texts[text], prepare=False)

    def _one(self, text: str, values: Sequence[object] = ()) -> Any:
        return self._connection.execute(self._texts[text], values).fetchone()


def _statements(text: str) -> list[str]:
    """Those of a file of which each runs by itself: divided by lines that end with a semicolon."""
    found = [one.strip() for one in text.split(";\n")]
    return [one.rstrip(";") for one in found if one.rstrip(";")]
