"""`postgresql://…`: which options are ours, and which libpq's."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import psycopg

from taskflow.clock import Clock
from taskflow.errors import ConfigError
from taskflow.stores.postgres.connecting import Server, check_server, connect, translate
from taskflow.stores.postgres.migration import Migrator
from taskflow.stores.postgres.store import PostgresStore
from taskflow.text import HOSTS, without_secrets

SCHEMA = "taskflow"
_DURABILITIES = ("power", "process")
_POOLED = {"true": True, "false": False}
LONGEST = 63
"""Bytes of a name in PostgreSQL."""


def open_store(address: str, clock: Clock, create: bool) -> PostgresStore:
    """The store at an address. Raises ConfigError, BrokerUnavailable."""
    return PostgresStore(server_of(address), clock=clock, create=create)


@contextmanager
def open_migrator(address: str) -> Iterator[Migrator]:
    """What brings the schema at an address up to date. Raises ConfigError, BrokerUnavailable."""
    server = server_of(address)
    connection = connect(server, True)
    try:
        check_server(connection, server)
        yield Migrator(connection, server)
    except psycopg.Error as error:
        raise translate(error, server) from error
    finally:
        connection.close()


def server_of(address: str) -> Server:
    """What an address says: `postgresql://user@host:port/database`, several hosts too, with
    `?schema=taskflow`, `durability=power|process` and `pooled=true|false` for us, and what libpq
    knows. Raises ConfigError; it names no password."""
    shown = f"postgresql://{without_secrets(address).partition('://')[2]}"
    try:
        parts = urlsplit(address)
    except ValueError:  # its text quotes the address
        raise ConfigError(f"broker address {shown}: its host cannot be read") from None
    if not address.partition(":")[2].startswith("//"):
        raise ConfigError(f"broker address {shown}: it begins with postgresql://")
    if not HOSTS.fullmatch(parts.netloc.rpartition("@")[2]):
        raise ConfigError(
            f"broker address {shown}: its host cannot be; a password has / as %2F, @ as %40, "
            "? as %3F and # as %23"
        )
    try:
        options = dict(
            parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        )
    except ValueError:
        raise ConfigError(f"broker address {shown}: its options are no name=value&…") from None
    schema = options.pop("schema", SCHEMA)
    if not schema or len(schema.encode()) > LONGEST or schema.startswith("pg_") or "\0" in schema:
        raise ConfigError(
            f"broker address {shown}: schema is {schema!r}; a name of 1 to {LONGEST} bytes that "
            "does not begin with pg_"
        )
    durability = options.pop("durability", "power")
    if durability not in _DURABILITIES:
        raise ConfigError(
            f"broker address {shown}: durability is {durability!r}; "
            f"allowed: {' or '.join(_DURABILITIES)}"
        )
    pooled = options.pop("pooled", "false")
    if pooled not in _POOLED:
        raise ConfigError(
            f"broker address {shown}: pooled is {pooled!r}; allowed: {' or '.join(_POOLED)}"
        )
    query = urlencode(options, quote_via=quote)
    # (`urlunsplit` leaves the // out where no host and no user is.)
    conninfo = f"postgresql://{parts.netloc}{parts.path}{query and f'?{query}'}"
    try:
        found = psycopg.conninfo.conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError as error:
        reason = " ".join(str(error).split()).replace(conninfo, shown)
        for secret in (parts.password, unquote(parts.password or ""), options.get("password")):
            if secret:
                reason = reason.replace(secret, "…")
        raise ConfigError(
            f"broker address {shown}: {reason}; ours are schema, durability and pooled"
        ) from None
    if not found.get("dbname"):
        raise ConfigError(
            f"broker address {shown} names no database; example: postgresql://user@host/database"
        )
    return Server(conninfo, shown, schema, durability == "power", _POOLED[pooled])
