"""Opening a broker by its address."""

from contextlib import AbstractContextManager
from pathlib import Path
from random import Random
from types import ModuleType
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from taskflow.broker import Broker
from taskflow.brokers.sharded.open_files import check_shards, open_files
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.clock import Clock, SystemClock
from taskflow.errors import ConfigError
from taskflow.stores.base import Store
from taskflow.stores.sqlite.store import SqliteStore
from taskflow.text import without_secrets

if TYPE_CHECKING:
    from taskflow.stores.postgres.migration import Migrator

DEFAULT_ADDRESS = "sqlite:///taskflow.db"
_DURABILITIES = ("power", "process")
_POSTGRES = ("postgresql", "postgres")


def open_address(
    address: str,
    *,
    create: bool = True,
    lead: bool = False,
    older: bool = False,
    clock: Clock | None = None,
    random: Random | None = None,
) -> Broker:
    """Open the broker at an address.

    `memory://` for one process; `sqlite:///relative.db` or `sqlite:////absolute.db`, with
    `?durability=power` (the default: a publish is answered after fsync) or `=process`, and
    `&shards=8` for a new broker over so many files;
    `postgresql://user@host/database[?schema=…&durability=…&pooled=…]`;
    `aws://REGION[?endpoint=…&account=…&prefix=…&idempotency=dynamodb://table&state=…]`.
    `create=False` refuses a file that does not exist, and a schema that is empty. `lead`: a broker
    of one SQLite file becomes one that may get more, for which nobody else has it open. `older`:
    files of several that are older copies than the others are accepted as they are. Raises
    ConfigError for an address that is none of these, BrokerFileError for a bad file,
    BrokerUnavailable for a server that cannot be used.
    """
    shown = without_secrets(address)
    try:
        parts = urlsplit(address)
    except ValueError:  # its text quotes the address
        raise ConfigError(f"broker address {shown!r}: its host cannot be read") from None
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    path = unquote(parts.path)
    if parts.scheme == "aws":
        return _aws(address, parts.netloc, path, options, clock, random)
    if parts.scheme in _POSTGRES:
        store: Store = _postgres().open_store(address, clock or SystemClock(), create)
        return StoredBroker(store, clock=clock, random=random)
    if parts.scheme not in _SCHEMES:
        raise ConfigError(
            f"broker address {shown!r}: {parts.scheme or 'no'} scheme; allowed are memory://, "
            "sqlite:///path/to/broker.db, postgresql://user@host/database and aws://REGION"
        )
    if parts.netloc:
        host = parts.netloc.rpartition("@")[2]
        raise ConfigError(
            f"broker address {shown!r}: {host!r} stands where a host would; write "
            f"{parts.scheme}:///{host}{path} (three slashes: relative, four: absolute)"
        )
    if parts.scheme == "sqlite":
        return _sqlite(shown, path, options, create, clock, random, lead, older)
    if path or options:
        raise ConfigError(f"broker address {shown!r}: memory:// takes no path and no options")
    return StoredBroker(SqliteStore(None, durable=False), clock=clock, random=random)


def _sqlite(
    shown: str,
    path: str,
    options: dict[str, str],
    create: bool,
    clock: Clock | None,
    random: Random | None,
    lead: bool,
    older: bool,
) -> Broker:
    durability = options.pop("durability", "power")
    shards = options.pop("shards", None)
    if options:
        raise ConfigError(
            f"broker address {shown!r}: unknown option {min(options)!r}; allowed: durability, "
            "shards"
        )
    if durability not in _DURABILITIES:
        raise ConfigError(
            f"broker address {shown!r}: durability is {durability!r}; "
            f"allowed: {' or '.join(_DURABILITIES)}"
        )
    if not path.strip("/"):
        raise ConfigError(f"broker address {shown!r} names no file; example: {DEFAULT_ADDRESS}")
    return open_files(
        Path(path[1:]),
        durable=durability == "power",
        shards=None if shards is None else check_shards(shards),
        create=create,
        lead=lead,
        older=older,
        clock=clock,
        random=random,
    )


def open_migrator(address: str) -> "AbstractContextManager[Migrator]":
    """What brings the tables of the broker at an address up to date, where that is a command of its
    own. Raises ConfigError elsewhere, BrokerUnavailable."""
    scheme = address.partition(":")[0].lower()
    if scheme not in _POSTGRES:
        raise ConfigError(
            f"there is nothing to migrate at {scheme}://; only postgresql:// has tables that "
            "nobody changes without being told to"
        )
    opened: AbstractContextManager[Migrator] = _postgres().open_migrator(address)
    return opened


def _postgres() -> ModuleType:
    try:  # few need it
        from taskflow.stores.postgres import address
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "psycopg":
            raise
        raise ConfigError(
            "a broker at postgresql:// needs psycopg: pip install 'taskflow-events[postgres]'"
        ) from error
    return address


def _aws(
    address: str,
    region: str,
    path: str,
    options: dict[str, str],
    clock: Clock | None,
    random: Random | None,
) -> Broker:
    try:  # boto3 takes long to import, and few need it
        from taskflow.brokers.aws.address import open_aws
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("boto3", "botocore"):
            raise
        raise ConfigError(
            f"broker address {without_secrets(address)!r} needs boto3: "
            "pip install 'taskflow-events[aws]'"
        ) from error

    def open_state(state: str) -> Broker:
        return open_address(state, clock=clock, random=random)

    return open_aws(address, region, path, options, clock, random, open_state)


_SCHEMES = ("memory", "sqlite")
