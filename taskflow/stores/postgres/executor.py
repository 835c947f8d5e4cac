"""Runs work over the connections of a process, and once more where that can be done."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import psycopg

from taskflow.errors import BrokerUnavailable
from taskflow.stores.postgres.connecting import (
    Server,
    connect,
    is_conflict,
    is_lost,
    started_at,
    translate,
)
from taskflow.stores.postgres.declarations import Declarations
from taskflow.stores.postgres.rows import PostgresRows
from taskflow.stores.postgres.session import Session, Stale
from taskflow.stores.postgres.tally_book import TallyBook
from taskflow.stores.postgres.texts import Texts
from taskflow.stores.postgres.watermarks import Watermarks
from taskflow.stores.rows import Rows
from taskflow.uninterrupted import uninterrupted

T = TypeVar("T")

TRIES = 6


class Executor:
    """Thread-safe, of one process. There are as many sessions as there were threads busy at once;
    those that wait for the disk are others than those that do not."""

    def __init__(
        self,
        server: Server,
        declarations: Declarations,
        watermarks: Watermarks,
        tallies: TallyBook,
    ) -> None:
        self._server = server
        self._declarations = declarations
        self._watermarks = watermarks
        self._tallies = tallies
        self.texts = Texts(server.schema)
        self._free: dict[bool, list[Session]] = {True: [], False: []}
        self._mine = threading.local()
        self._hurried = False
        self._closed = False
        self._who: tuple[Any, ...] | None = None  # the server of the newest connection
        self.lost: Callable[[], None] = lambda: None
        """Called when a connection was lost, or is to another server: it may be another one now."""

    # ---- sessions ----------------------------------------------------------------------------
    def inside(self) -> Session | None:
        """The session of the work that this thread is doing."""
        found: Session | None = getattr(self._mine, "session", None)
        return found

    def session(self) -> Session:
        """As `inside`, for who knows that there is one."""
        found = self.inside()
        assert found is not None
        return found

    def fill(self, session: Session) -> PostgresRows:
        """The verbs over a session."""
        return PostgresRows(session, self._watermarks, self._tallies)

    def _take(self, durable: bool) -> Session:
        if self._closed:
            raise BrokerUnavailable("the broker is closed")
        free = self._free[durable and self._server.durable]
        try:
            return free.pop()
        except IndexError:
            pass
        connection = connect(self._server, durable)
        if not self._server.pooled:  # there, the next statement may be another server's
            self._look_who(connection)
        session = Session(connection, self.texts, self._declarations, not self._server.pooled)
        session.rows = self.fill(session)
        if self._hurried and not self._server.pooled:  # there, it would be others' setting too
            connection.execute("SET lock_timeout = '1s'")
        return session

    def _look_who(self, connection: psycopg.Connection[Any]) -> None:
        """Keep nothing of what another server said, though no connection to that was lost here."""
        who = started_at(connection, self._server)
        if self._who is not None and who != self._who:
            self._forget()
        self._who = who

    def _give(self, session: Session, durable: bool) -> None:
        session.end()
        if session.connection.closed:
            return
        if self._closed:
            session.connection.close()
        else:
            self._free[durable and self._server.durable].append(session)

    def _lose_all(self) -> None:
        """A server that dropped one connection has dropped the others; the next one may be a copy
        of it that lacks the last it did, and numbers anew what that was."""
        self._drop_all()
        self._forget()

    def _forget(self) -> None:
        self._declarations.forget()
        self._watermarks.forget()
        self.lost()

    def _drop_all(self) -> None:
        for free in self._free.values():
            while free:
                free.pop().connection.close()

    @uninterrupted
    def hurry(self) -> None:
        """Wait a second at most for a lock, from now on."""
        self._hurried = True
        self._drop_all()

    @uninterrupted
    def close(self) -> None:
        """Do no more work."""
        self._closed = True
        self._drop_all()

    # ---- work --------------------------------------------------------------------------------
    @uninterrupted
    def run(
        self,
        work: Callable[[Rows], T],
        *,
        durable: bool = False,
        whole: bool = False,
        alone: bool = False,
        kept: bool = True,
        tries: int = TRIES,
    ) -> tuple[T, list[Callable[[], None]]]:
        """Do the work; answers what is to be called after it, too. `whole`: in one transaction.
        `alone` and `kept` are as in `Store`. Raises BrokerUnavailable."""
        for left in reversed(range(tries)):
            session = self._take(durable)
            ending = False
            try:
                self._mine.session = session
                if whole:
                    session.begin()
                if alone:
                    session.alone()
                if not kept:
                    session.rows.renew()
                answer = work(session.rows)
                if session.unproved:
                    session.rows.prove()
                later = list(session.later)
                session.later.clear()
                changed = session.declarations is not self._declarations
                ending = whole
                session.commit(durable and self._server.durable and self._server.pooled)
                if changed:
                    self._declarations.forget()
                self._tallies.note(session.tallies)
                return answer, later
            except Stale:
                self._undo(session)
                if not left:
                    raise BrokerUnavailable("declarations change all the time") from None
            except psycopg.Error as error:
                lost = is_lost(error, session.connection)
                self._undo(session)
                if lost:
                    session.connection.close()
                    self._lose_all()
                again = is_conflict(error) or (lost and not ending)
                if not again or session.committed or not left:
                    raise self._translated(error, lost and ending) from error
            except BaseException:
                self._undo(session)
                raise
            finally:
                self._mine.session = None
                self._give(session, durable)
        raise AssertionError("unreachable")

    def _translated(self, error: psycopg.Error, unknown: bool) -> Exception:
        if unknown:
            return BrokerUnavailable(
                f"{self._server.shown} was lost while a change was committed: it may have been "
                "made, or not"
            )
        return translate(error, self._server)

    @staticmethod
    def _undo(session: Session) -> None:
        try:
            session.undo()
        except psycopg.Error:
            session.connection.close()

    @staticmethod
    @uninterrupted
    def within(
        session: Session,
        work: Callable[[Rows], T],
        committed: Callable[[T], None] | None,
        alone: bool,
    ) -> T:
        """Do work as a part of what this thread is doing: it alone is done again by new
        declarations."""
        while True:
            try:
                with session.part():
                    if alone and session.declarations is session.shared:
                        session.alone()
                    answer = work(session.rows)
                    if session.unproved:
                        session.rows.prove()
            except Stale:
                session.stamp = None
                continue
            break
        if committed is not None:
            session.later.append(partial(committed, answer))
        return answer
