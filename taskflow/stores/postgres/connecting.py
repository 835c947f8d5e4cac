"""Connections to a server, and its errors as ours."""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import psycopg
from psycopg import errors, pq
from psycopg.types.numeric import Int8Dumper

from taskflow.errors import BrokerError, BrokerUnavailable, ConfigError, LimitExceeded

OLDEST = 130000
"""The first server that keeps equal index entries in the order of rows (PostgreSQL 13)."""
_PLANNER = (
    *("plan_cache_mode=force_generic_plan", "enable_seqscan=off", "enable_hashjoin=off"),
    *("enable_mergejoin=off", "enable_bitmapscan=off", "jit=off"),
)
"""A table that is empty one moment and full the next has statistics that are good for nothing. Each
statement here has one way that is right, by an index, and these leave the planner that one."""
_FULL = ("too many connections", "too many clients", "connection slots")
_PATIENCE = ("idle_in_transaction_session_timeout=60s", "lock_timeout=60s")
_NETWORK = {
    "connect_timeout": 10,  # seconds
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # milliseconds
    "target_session_attrs": "read-write",
}
"""What is not said in the address: a host that is gone without a word is given up in a minute, and
of several hosts the one is meant that takes writes."""
_READ_ONLY = ("session is read-only", "server is in hot standby mode")
"""What libpq says of a server that is not what `target_session_attrs` asks for."""


class Server(NamedTuple):
    """Where the server is, and how it is spoken to. `conninfo` may hold a password: it is not
    printed."""

    conninfo: str
    shown: str
    """The address for people."""
    schema: str
    durable: bool
    pooled: bool
    """Whether a pooler hands out the server's connections by transactions: no settings of a session
    then, and no prepared statements."""


def connect(server: Server, durable: bool) -> psycopg.Connection[Any]:
    """A connection of which each statement stands for itself. Raises BrokerUnavailable."""
    settings: dict[str, Any] = {}
    if not server.pooled:
        commit = "on" if durable and server.durable else "off"
        options = (*_PLANNER, *_PATIENCE, f"synchronous_commit={commit}")
        settings["options"] = " ".join(f"-c {one}" for one in options)
    try:
        connection: psycopg.Connection[Any] = psycopg.connect(
            server.conninfo,
            autocommit=True,
            cursor_factory=psycopg.RawCursor,
            application_name="taskflow",
            **_with_own(server.conninfo, settings),
        )
    except psycopg.Error as error:
        raise translate(error, server) from error
    connection.adapters.register_dumper(int, Int8Dumper)  # one type, one prepared statement
    if server.pooled:
        connection.prepare_threshold = None
    connection.prepared_max = 500
    return connection


def _with_own(conninfo: str, settings: dict[str, Any]) -> Mapping[str, Any]:
    """What the address says itself has the last word, and before ours comes what libpq's own
    variables and service file say (PGTARGETSESSIONATTRS, PGSERVICE)."""
    own = psycopg.conninfo.conninfo_to_dict(conninfo)
    if own.get("options") and "options" in settings:
        settings["options"] = f"{settings['options']} {own['options']}"
    said = {*own, *_said_around()}
    return {name: value for name, value in _NETWORK.items() if name not in said} | settings


def _said_around() -> set[str]:
    return {
        one.keyword.decode()
        for one in pq.Conninfo.get_defaults()
        if one.val != one.compiled or (one.envvar and one.envvar.decode() in os.environ)
    }


def started_at(connection: psycopg.Connection[Any], server: Server) -> tuple[Any, ...] | None:
    """What tells the server of a connection from others, and from itself after a restart. Raises
    BrokerUnavailable."""
    try:
        return connection.execute(
            "SELECT pg_postmaster_start_time()::text, inet_server_addr()::text, inet_server_port()"
        ).fetchone()
    except psycopg.Error as error:
        connection.close()
        raise translate(error, server) from error


def check_server(connection: psycopg.Connection[Any], server: Server) -> None:
    """Raise ConfigError for what is no PostgreSQL that this works with."""
    version = connection.info.server_version
    (product,) = connection.execute("SELECT version()").fetchone() or ("",)
    if version < OLDEST or not str(product).startswith("PostgreSQL"):
        raise ConfigError(
            f"{server.shown} is {str(product).split(',')[0]}; PostgreSQL 13 or newer is needed"
        )
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise ConfigError(f"the database of {server.shown} has the encoding {encoding}, not UTF8")


def is_lost(error: psycopg.Error, connection: psycopg.Connection[Any]) -> bool:
    """Whether the connection is gone, or of no more use: the server was shut down, or is now a
    read-only copy of another one."""
    return (
        connection.closed
        or connection.pgconn.status != pq.ConnStatus.OK
        or (error.sqlstate is None and not isinstance(error, psycopg.DataError))
        or isinstance(error, errors.ReadOnlySqlTransaction | errors.AdminShutdown)
    )


def is_conflict(error: psycopg.Error) -> bool:
    """Whether the same may well succeed when it is done once more. (A row that another transaction
    has just made is seen then.)"""
    again = errors.DeadlockDetected | errors.SerializationFailure | errors.UniqueViolation
    return isinstance(error, again)


def translate(error: psycopg.Error, server: Server) -> BrokerError | ConfigError:
    """The server's errors as ours; its text names no password."""
    reason = " ".join(str(error).split())
    if any(sign in reason for sign in _FULL):  # while it connects, the server's code is not told
        return BrokerUnavailable(
            f"{server.shown} has no connection left ({reason}): a process takes two for each "
            "thread that is busy, and two more; raise max_connections, or put a pooler before it "
            "and ?pooled=true into the address"
        )
    if any(sign in reason for sign in _READ_ONLY):
        return BrokerUnavailable(
            f"{server.shown} takes no writes: a standby, or default_transaction_read_only is on; "
            f"the address names the server that does, or all: postgresql://a,b/database ({reason})"
        )
    if "unsupported startup parameter" in reason:
        return BrokerUnavailable(
            f"{server.shown} is a pooler ({reason}): put ?pooled=true into the address"
        )
    match error:
        case errors.InvalidSqlStatementName() | errors.DuplicatePreparedStatement():
            return BrokerUnavailable(
                f"{server.shown}: {reason}; a pooler is between that hands out connections by "
                "transactions, and nothing was done: put ?pooled=true into the address"
            )
        case errors.ReadOnlySqlTransaction():
            return BrokerUnavailable(
                f"{server.shown} is read-only: a standby, or default_transaction_read_only is on; "
                "leave target_session_attrs out of the address and PGTARGETSESSIONATTRS out of the "
                "environment, or name the server that takes writes"
            )
        case errors.InsufficientPrivilege():
            return BrokerUnavailable(
                f"{server.shown}: {reason}; what the role needs says `taskflow migrate --sql`"
            )
        case errors.UndefinedTable() | errors.UndefinedColumn() | errors.InvalidSchemaName():
            return BrokerUnavailable(
                f"the schema {server.schema!r} of {server.shown} is not as this version of "
                f"taskflow makes it ({reason}): nothing was done; run `taskflow migrate`"
            )
        case errors.LockNotAvailable():
            return BrokerUnavailable(
                f"{server.shown}: rows were locked by another transaction, for longer than this "
                "one could wait"
            )
        case errors.ProgramLimitExceeded() | errors.StringDataRightTruncation():
            return LimitExceeded(f"{server.shown}: {reason}")
        case errors.DiskFull():
            return BrokerUnavailable(f"{server.shown}: the disk is full; nothing was stored")
        case psycopg.DataError():
            return LimitExceeded(f"PostgreSQL does not store this: {reason}")
        case psycopg.OperationalError() | psycopg.InterfaceError():
            return BrokerUnavailable(f"{server.shown} cannot be reached: {reason}")
    return BrokerUnavailable(f"{server.shown}: {reason}")
