"""The PostgreSQL store: a connection for each thread that is busy, and two to ring and to hear."""

import logging
from collections.abc import Callable, Collection, Hashable
from functools import partial
from hashlib import blake2b
from typing import Any, TypeVar

import psycopg

from taskflow import forking
from taskflow.broker.own_sql import Sql
from taskflow.clock import Clock, SystemClock
from taskflow.errors import BrokerUnavailable
from taskflow.stores.postgres.connecting import Server, check_server, connect, translate
from taskflow.stores.postgres.database_clock import DatabaseClock
from taskflow.stores.postgres.declarations import Declarations
from taskflow.stores.postgres.ear import Ear
from taskflow.stores.postgres.executor import Executor
from taskflow.stores.postgres.joining import IDENTITY, Joining
from taskflow.stores.postgres.migration import Migrator
from taskflow.stores.postgres.own_sql import PostgresSql
from taskflow.stores.postgres.ringer import Ringer
from taskflow.stores.postgres.tally_book import TallyBook
from taskflow.stores.postgres.watermarks import Watermarks
from taskflow.stores.rows import Rows
from taskflow.uninterrupted import uninterrupted

T = TypeVar("T")

log = logging.getLogger("taskflow.store")

POLL = 1.0  # seconds
_LONGEST_CHANNEL = 63  # bytes


class PostgresStore(forking.Forkable):
    """Rows in PostgreSQL.

    `create` makes the schema where nothing is in it. Raises BrokerUnavailable when the server
    cannot be reached or the schema is of another version, ConfigError when it is no server for
    this. Thread-safe; connections belong to a process, and a fork opens its own.
    """

    def __init__(self, server: Server, *, clock: Clock, create: bool = True) -> None:
        self._server = server
        self._clock = clock
        self.poll_interval: float | None = POLL
        self.durable = server.durable
        self._closed = False
        self._clocks: list[DatabaseClock] = []
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
        server = self._server
        self._declarations = Declarations()
        self._watermarks = Watermarks(self._clock)
        self._tallies = TallyBook(self._clock)
        self._executor = Executor(server, self._declarations, self._watermarks, self._tallies)
        self._executor.lost = self._ask_time_anew
        ask = partial(self.look, self._identity, kept=True)
        self._joining = Joining(server.schema, self._declarations, self._executor.fill, ask)
        open_one = partial(connect, server, False)
        channel = channel_of(server.schema)
        self._ringer = Ringer(open_one, channel, self._clock)
        self._ear = Ear(open_one, channel, self._ringer.is_own, self._ask_time_anew)

    def _identity(self, rows: Rows) -> tuple[Any, ...]:
        return tuple(self._executor.session().first(IDENTITY))

    # ---- another process ---------------------------------------------------------------------
    def after_fork(self, child: bool) -> None:
        if child:
            self._open_anew()

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

    @uninterrupted
    def within(self, work: Callable[[Sql], T]) -> T:
        """As `OwnSql.within`."""

        def call(rows: Rows) -> T:
            session = self._executor.session()
            session.start()
            sql = PostgresSql(session.connection, self._server.schema)
            try:
                return work(sql)
            finally:
                sql.close()

        answer, later = self._executor.run(call, durable=True, whole=True, tries=1)
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

    @uninterrupted
    def _change(
        self,
        work: Callable[[Rows], T],
        durable: bool,
        committed: Callable[[T], None] | None,
        whole: bool,
        alone: bool,
    ) -> T:
        executor = self._executor
        if (session := executor.inside()) is not None:
            return executor.within(session, work, committed, alone)
        answer, later = executor.run(work, durable=durable, whole=whole, alone=alone)
        if committed is not None:
            committed(answer)
        for call in later:
            call()
        if self._tallies.due():
            self._write_tallies()
        return answer

    @uninterrupted
    def join(
        self, connection: object, work: Callable[[Rows], T], committed: Callable[[T], None]
    ) -> T:
        """As `Joinable.join`."""
        return self._joining.run(connection, work, committed)

    def step(self, work: Callable[[Rows], T], *, rung: bool = False) -> T:
        return self.look(work, kept=True)

    @uninterrupted
    def look(self, work: Callable[[Rows], T], *, kept: bool = False) -> T:
        if (session := self._executor.inside()) is not None:
            return work(session.rows)
        return self._executor.run(work, kept=kept)[0]

    def version(self) -> Hashable:
        return object()  # nobody can say: look

    def time(self, clock: Clock) -> Callable[[], float]:
        if not isinstance(clock, SystemClock):
            return clock.now
        there = DatabaseClock(clock, self._server_time)
        self._clocks.append(there)
        return there.now

    def _ask_time_anew(self) -> None:
        for one in self._clocks:
            one.ask_anew()

    def _server_time(self) -> float:
        def ask(rows: Rows) -> float:
            text = "SELECT extract(epoch FROM clock_timestamp())::float8"
            return float(self._executor.session().first(text)[0])

        return self.look(ask, kept=True)

    def sync(self, everybodys: bool = False) -> None:
        """What was committed to be safe is."""

    def check(self) -> None:
        """The database is who it is."""

    def hurry(self) -> None:
        self._executor.hurry()

    def _write_tallies(self) -> None:
        counted = self._tallies.take()
        if not counted:
            return
        queues, handled, dead = (list(one) for one in zip(*counted, strict=True))

        def write(rows: Rows) -> None:
            self._executor.session().change(
                """UPDATE tf.total t SET handled = t.handled + u.handled,
                                         dead_lettered = t.dead_lettered + u.dead_lettered
                   FROM unnest($1::int4[], $2::int8[], $3::int8[]) u (queue, handled, dead_lettered)
                   WHERE t.queue = u.queue""",
                (queues, handled, dead),
            )

        try:
            self._executor.run(write)
        except BrokerUnavailable as error:
            log.debug("what was handled is not counted: %s", error)

    def ring(self, queues: Collection[str]) -> None:
        self._ringer.ring(queues)

    def listen(self) -> None:
        if not self._server.pooled:  # there, what one says next may go to another server process
            self._ear.listen()

    def ignore(self) -> None:
        """It is heard all the same: who does not read holds up the server's queue of notices."""

    def hears(self) -> bool:
        return self._ear.hears()

    def hear(self, timeout: float | None) -> Collection[str] | None:
        return self._ear.hear(timeout)

    def wake(self) -> None:
        self._ear.wake()

    @uninterrupted
    def close(self) -> None:
        if self._closed:
            return
        self._write_tallies()
        self._closed = True
        self._ringer.close()
        self._ear.close()
        self._executor.close()


def channel_of(schema: str) -> str:
    """Where those who use a schema ring each other."""
    name = f"taskflow.{schema}"
    if len(name.encode()) <= _LONGEST_CHANNEL:
        return name
    return f"taskflow.{blake2b(schema.encode(), digest_size=16).hexdigest()}"
