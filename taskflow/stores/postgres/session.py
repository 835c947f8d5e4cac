"""A connection, and what runs over it: single statements, or a transaction."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from taskflow.stores.postgres.declarations import Declarations
from taskflow.stores.postgres.statements import Statements
from taskflow.stores.postgres.tallies import Tallies
from taskflow.stores.postgres.texts import Texts

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult

    from taskflow.stores.postgres.rows import PostgresRows

Values = Sequence[Any]


class Stale(Exception):
    """Declarations have changed since they were read: the work is to be run again."""


class Session:
    """One thread's at a time. Each statement stands for itself until `begin`.

    `committed` says whether something was changed that an error will not undo: then the work that
    did it may not be run again.
    """

    rows: "PostgresRows"

    def __init__(
        self, connection: psycopg.Connection[Any], texts: Texts, shared: Declarations, prepare: bool
    ) -> None:
        self.connection = connection
        self._statements = Statements(connection, texts, prepare)
        self.be_new(shared)

    def be_new(self, shared: Declarations) -> None:
        """Nothing was done yet."""
        self.shared = shared
        self._wanted = False  # a transaction, begun with its first statement
        self._begun = False
        self._parts = 0
        self.whole = False
        """Whether all is one transaction."""
        self.committed = False
        self.declarations = shared
        self.tallies = Tallies()
        """What was counted here, until it is certain."""
        self.later: list[Callable[[], None]] = []
        """What to call when all is committed."""
        self.stamp: int | None = None
        """Under which declarations were read for what is done now; None when none were."""
        self.unproved = False
        """Whether somebody goes by them, and no statement has yet shown that they hold."""
        self.lent = False
        """Whether something was lent: it cannot be had again, so the work is not run again."""

    # ---- statements --------------------------------------------------------------------------
    def _run(self, sql: str, values: Values = ()) -> "PGresult":
        if self._wanted and not self._begun:
            self._begun = True
            # Whatever the database's own default: who has waited for a lock sees what was done.
            self._statements.run("BEGIN ISOLATION LEVEL READ COMMITTED")
        return self._statements.run(sql, values)

    def ask(self, sql: str, values: Values = ()) -> list[Any]:
        """The rows of a statement that changes nothing."""
        return self._statements.rows(self._run(sql, values))

    def first(self, sql: str, values: Values = ()) -> Any:
        """The first row of a statement that changes nothing, or None."""
        found = self.ask(sql, values)
        return found[0] if found else None

    def write(self, sql: str, values: Values = ()) -> list[Any]:
        """The rows of a statement that changes something."""
        found = self.ask(sql, values)
        self.changed()
        return found

    def change(self, sql: str, values: Values = ()) -> int:
        """How many rows a statement changed."""
        found = self._run(sql, values).command_tuples or 0
        if found:
            self.changed()
        return found

    def changed(self) -> None:
        """Something was changed: outside of a transaction it cannot be undone."""
        if not self._begun:
            self.committed = True

    # ---- transactions ------------------------------------------------------------------------
    def begin(self) -> None:
        """All that follows is one transaction, until `commit` or `undo`."""
        self._wanted = self.whole = True

    def start(self) -> None:
        """As `begin`, and at once."""
        self._run("SELECT 1")

    def commit(self, durable: bool) -> None:
        """End the transaction; on disk, if asked for and the session does not wait for that
        anyway."""
        if self._begun:
            if durable:
                self._statements.run("SET LOCAL synchronous_commit TO on")
            self._statements.run("COMMIT")
        self._wanted = self._begun = False

    def undo(self) -> None:
        """Undo the transaction, if there is one, and forget what was kept of it."""
        begun, self._wanted, self._begun = self._begun, False, False
        self.later.clear()
        self.tallies.clear()
        if begun and not self.connection.closed:
            self._statements.run("ROLLBACK")

    def end(self) -> None:
        """Be as new, for who comes next."""
        self.whole = self.committed = self.unproved = self.lent = False
        self.stamp = None
        self.declarations = self.shared

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is done inside is one transaction, be it a part of a larger one."""
        if self._wanted:
            yield
            return
        self._wanted = True
        try:
            yield
            self.commit(False)
        except BaseException:
            self._wanted, begun = False, self._begun
            self._begun = False
            if begun and not self.connection.closed:
                self._statements.run("ROLLBACK")
            raise
        self.committed = True

    @contextmanager
    def part(self) -> Iterator[None]:
        """An error inside undoes what was done inside, and the transaction goes on."""
        self._parts += 1
        name = f"part_{self._parts}"
        counted, later = self.tallies.copy(), len(self.later)
        self._run(f"SAVEPOINT {name}")
        try:
            yield
            self._run(f"RELEASE SAVEPOINT {name}")
        except BaseException:
            if not self.is_lost:
                self._run(f"ROLLBACK TO SAVEPOINT {name}")
                self._run(f"RELEASE SAVEPOINT {name}")
            self.tallies = counted
            del self.later[later:]
            raise
        finally:
            self._parts -= 1

    @property
    def is_lost(self) -> bool:
        """Whether nothing can be said any more."""
        return self.connection.closed

    # ---- declarations ------------------------------------------------------------------------
    def alone(self) -> None:
        """Nobody else changes declarations until the transaction ends, and they are read anew."""
        self._run("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", ("tf. declarations",))
        self.declare()

    def declare(self) -> None:
        """What is read of declarations from now on is this transaction's own."""
        if self.declarations is self.shared:
            self.declarations = Declarations()
        else:
            self.declarations.forget()
        self.stamp = None

    def reads(self, stamp: int) -> None:
        """Declarations were read under this stamp: all that is done goes by the same, but for
        single statements of which one is done already."""
        if self.stamp is None or self.committed:
            self.stamp = stamp
        elif self.stamp != stamp:
            self.stale()

    def prove(self, stamp: int) -> None:
        """A statement saw this stamp: raise Stale if what was read was read under another one."""
        self.unproved = False
        if self.stamp is not None and self.stamp != stamp:
            self.stale()

    def stale(self) -> None:
        """What is kept of declarations holds no longer."""
        self.declarations.forget()
        raise Stale
