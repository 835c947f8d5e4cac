"""The PostgreSQL store: a connection for each thread that is busy, and two to ring and to hear."""

import logging
import threading
from collections.abc import Callable, Collection, Hashable
from functools import partial
from typing import Any, TypeVar

import psycopg

from taskflow import forking
from taskflow.broker.own_sql import Sql
from taskflow.clock import Clock, SystemClock
from taskflow.errors import BrokerUnavailable
from taskflow.stores.postgres.connecting import (
    Server,
    check_server,
    connect,
    is_conflict,
    is_lost,
    translate,
)
from taskflow.stores.postgres.database_clock import DatabaseClock
from taskflow.stores.postgres.declarations import Declarations
from taskflow.stores.postgres.ear import Ear
from taskflow.stores.postgres.joining import IDENTITY, Joining
from taskflow.stores.postgres.migration import Migrator
from taskflow.stores.postgres.own_sql import PostgresSql
from taskflow.stores.postgres.ringer import Ringer
from taskflow.stores.postgres.rows import PostgresRows
from taskflow.stores.postgres.session import Session, Stale
from taskflow.stores.postgres.tally_book import TallyBook
from taskflow.stores.postgres.texts import Texts
from taskflow.stores.postgres.watermarks import Watermarks
from taskflow.stores.rows import Rows

T = TypeVar("T")

log = logging.getLogger("taskflow.store")

TRIES = 6
POLL = 1.0  # seconds


class PostgresStore:
    """Rows in PostgreSQL.

    `create` makes the schema where nothing is in it. Raises BrokerUnavailable when the server
    cannot be reached or the schema is of another version, ConfigError when it is no server for
    this. Thread-safe; connections belong to a process, and a fork opens its own.
    """

    def __init__(self, server: Server, *, clock: Clock, create: bool = True) -> None:
        self._server = server
        self._texts = Texts(server.schema)
        self._clock = clock
        self.poll_interval: float | None = POLL
        self.durable = server.durable
        self._mine = threading.local()
        self._hurried = False
        self._closed = False
        self._declarations = Declarations()
        self._watermarks = Watermarks(clock)
        self._tallies = TallyBook(clock)
        self._joining = self._make_joining()
        self._open_anew()
        connection = connect(server, False)
        try:
            check_server(connection, server)
            migrator = Migrator(connection, server)
            if create:
                migrator.set_up()
            migrator.check()
        except psycopg.Error as error:
            raise translate(error, server) from error
        finally:
            connection.close()
        forking.tell(self)

    def _open_anew(self) -> None:
        """What belongs to this process."""
        self._free: dict[bool, list[Session]] = {True: [], False: []}
        open_one = partial(connect, self._server, False)
        channel = f"taskflow.{self._server.schema}"
        self._ringer = Ringer(open_one, channel, self._clock)
        self._ear = Ear(open_one, channel, self._ringer.is_own)

    # ---- another process ---------------------------------------------------------------------
    def before_fork(self) -> None:
        """Nothing is closed: a child leaves the parent's connections alone."""

    def after_fork(self, child: bool) -> None:
        if child:
            self._mine = threading.local()
            self._declarations = Declarations()
            self._tallies = TallyBook(self._clock)
            self._joining = self._make_joining()
            self._open_anew()

    # ---- sessions ----------------------------------------------------------------------------
    def _take(self, durable: bool) -> Session:
        if self._closed:
            raise BrokerUnavailable("the broker is closed")
        free = self._free[durable and self.durable]
        try:
            return free.pop()
        except IndexError:
            pass
        connection = connect(self._server, durable)
        session = Session(connection, self._texts, self._declarations, not self._server.pooled)
        session.rows = self._fill(session)
        if self._hurried:
            connection.execute("SET lock_timeout = '1s'")
        return session

    def _fill(self, session: Session) -> PostgresRows:
        return PostgresRows(session, self._watermarks, self._tallies)

    def _make_joining(self) -> Joining:
        def identity(rows: Rows) -> tuple[Any, ...]:
            session = self._inside()
            assert session is not None
            return tuple(session.first(IDENTITY))

        ask = partial(self.look, identity, kept=True)
        return Joining(self._server.schema, self._declarations, self._fill, ask)

    def _give(self, session: Session, durable: bool) -> None:
        session.end()
        if session.connection.closed:
            return
        if self._closed:
            session.connection.close()
        else:
            self._free[durable and self.durable].append(session)

    def _inside(self) -> Session | None:
        """The session of the transaction that this thread is in."""
        found: Session | None = getattr(self._mine, "session", None)
        return found

    def _run(
        self,
        work: Callable[[Rows], T],
        durable: bool,
        whole: bool,
        alone: bool,
        kept: bool = True,
        tries: int = TRIES,
    ) -> tuple[T, list[Callable[[], None]]]:
        """Do the work, once more where that can be done; answers what is to be called after it."""
        for left in reversed(range(tries)):
            session = self._take(durable)
            self._mine.session = session
            ending = False
            try:
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
                session.commit(durable and self.durable and self._server.pooled)
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
                    self._drop_all()
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

    def _drop_all(self) -> None:
        """A server that dropped one connection has dropped the others."""
        for free in self._free.values():
            while free:
                free.pop().connection.close()

    # ---- the store ---------------------------------------------------------------------------
    def transact(
        self,
        work: Callable[[Rows], T],
        *,
        durable: bool = False,
        committed: Callable[[T], None] | None = None,
        alone: bool = False,
    ) -> T:
        return self._change(work, durable, committed, True, alone)

    def within(self, work: Callable[[Sql], T]) -> T:
        """As `OwnSql.within`."""

        def call(rows: Rows) -> T:
            session = self._inside()
            assert session is not None
            session.start()
            sql = PostgresSql(session.connection, self._server.schema)
            try:
                return work(sql)
            finally:
                sql.close()

        answer, later = self._run(call, True, True, False, tries=1)
        for one in later:
            one()
        return answer

    def single(
        self,
        work: Callable[[Rows], T],
        *,
        durable: bool = False,
        committed: Callable[[T], None] | None = None,
    ) -> T:
        return self._change(work, durable, committed, False, False)

    def _change(
        self,
        work: Callable[[Rows], T],
        durable: bool,
        committed: Callable[[T], None] | None,
        whole: bool,
        alone: bool,
    ) -> T:
        session = self._inside()
        if session is not None:
            return self._within(session, work, committed, alone)
        answer, later = self._run(work, durable, whole, alone)
        if committed is not None:
            committed(answer)
        for call in later:
            call()
        if self._tallies.due():
            self._write_tallies()
        return answer

    @staticmethod
    def _within(
        session: Session,
        work: Callable[[Rows], T],
        committed: Callable[[T], None] | None,
        alone: bool,
    ) -> T:
        """A part of what this thread is doing: it alone is done again by new declarations."""
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

    def join(
        self, connection: object, work: Callable[[Rows], T], committed: Callable[[T], None]
    ) -> T:
        """As `Joinable.join`."""
        return self._joining.run(connection, work, committed)

    def step(self, work: Callable[[Rows], T]) -> T:
        return self.look(work, kept=True)

    def look(self, work: Callable[[Rows], T], *, kept: bool = False) -> T:
        session = self._inside()
        if session is not None:
            return work(session.rows)
        return self._run(work, False, False, False, kept)[0]

    def version(self) -> Hashable:
        return object()  # nobody can say: look

    def time(self, clock: Clock) -> Callable[[], float]:
        if not isinstance(clock, SystemClock):
            return clock.now
        return DatabaseClock(clock, self._server_time).now

    def _server_time(self) -> float:
        def ask(rows: Rows) -> float:
            session = self._inside()
            assert session is not None
            text = "SELECT extract(epoch FROM clock_timestamp())::float8"
            return float(session.first(text)[0])

        return self.look(ask, kept=True)

    def sync(self, everybodys: bool = False) -> None:
        """What was committed to be safe is."""

    def check(self) -> None:
        """The database is who it is."""

    def hurry(self) -> None:
        self._hurried = True
        self._drop_all()

    def write_tallies(self) -> None:
        """Write down what was counted here."""
        if self._tallies:
            self._write_tallies()

    def _write_tallies(self) -> None:
        counted = self._tallies.take()
        if not counted:
            return
        queues, handled, dead = (list(one) for one in zip(*counted, strict=True))

        def write(rows: Rows) -> None:
            session = self._inside()
            assert session is not None
            session.change(
                """UPDATE tf.total t SET handled = t.handled + u.handled,
                                         dead_lettered = t.dead_lettered + u.dead_lettered
                   FROM unnest($1::int4[], $2::int8[], $3::int8[]) u (queue, handled, dead_lettered)
                   WHERE t.queue = u.queue""",
                (queues, handled, dead),
            )

        try:
            self._run(write, False, False, False)
        except BrokerUnavailable as error:
            log.debug("what was handled is not counted: %s", error)

    def ring(self, queues: Collection[str]) -> None:
        self._ringer.ring(queues)

    def listen(self) -> None:
        if not self._server.pooled:  # there, what one says next may go to another server process
            self._ear.listen()

    def hears(self) -> bool:
        return self._ear.hears()

    def hear(self, timeout: float | None) -> Collection[str] | None:
        return self._ear.hear(timeout)

    def wake(self) -> None:
        self._ear.wake()

    def close(self) -> None:
        if self._closed:
            return
        self.write_tallies()
        self._closed = True
        self._ringer.close()
        self._ear.close()
        self._drop_all()
