"""Opening the AWS broker by its address: `aws://REGION?endpoint=…&account=…&prefix=…`."""

import re
from collections.abc import Callable, Mapping
from random import Random
from urllib.parse import urlsplit

from taskflow.broker import Broker
from taskflow.brokers.aws.broker import AwsBroker
from taskflow.brokers.aws.client import Api
from taskflow.brokers.aws.dynamo_record_store import DynamoRecordStore
from taskflow.brokers.aws.dynamo_records import DynamoRecords
from taskflow.brokers.aws.dynamo_store import DynamoStore
from taskflow.brokers.aws.local_state import LocalState
from taskflow.brokers.aws.payloads import Payloads
from taskflow.brokers.aws.remote_state import RemoteState
from taskflow.brokers.aws.state import State
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.clock import Clock, SystemClock
from taskflow.coordination.coordination_store import CoordinationStore
from taskflow.coordination.event_records import Records
from taskflow.errors import ConfigError
from taskflow.forking import RANDOM
from taskflow.text import without_secrets
from taskflow.wire.places import ACCOUNT, BUCKET, REGION, TABLE, key_prefix

OPTIONS = ("account", "endpoint", "idempotency", "payloads", "prefix", "state")
LOCAL = ("memory", "sqlite")
REDIS = ("redis", "rediss")
STATES = "dynamodb://table, redis://host/0, sqlite:///path/to/state.db, or a SQL database's address"
_PREFIX = re.compile(r"[A-Za-z0-9_-]{0,40}")


def open_aws(
    address: str,
    region: str,
    path: str,
    options: Mapping[str, str],
    clock: Clock | None,
    random: Random | None,
    open_state: Callable[[str], Broker],
) -> AwsBroker:
    """Open SNS and SQS of a region; nothing is asked of AWS yet.

    `endpoint`: another SNS/SQS server. `account`: the owner of topics and queues, if not that of
    the credentials. `prefix`: before all names. `idempotency=dynamodb://table`, or the address of
    a SQL database as SQLAlchemy writes it, percent-encoded: where workers share what SQS cannot
    keep (finished and running events, pauses, rates, reports). `payloads=s3://bucket/prefix`:
    where payloads go that are too large for SNS and SQS. `state`: where the records of `apply` are
    kept, which SQS cannot keep: as `idempotency`, or `sqlite:///file` for the processes of one
    machine, which `open_state` opens. Without it in memory, for this process. Raises ConfigError.
    """

    def refuse(what: str) -> ConfigError:
        return ConfigError(f"broker address {without_secrets(address)!r}: {what}")

    if not REGION.fullmatch(region):
        raise refuse(f"{region.rpartition('@')[2]!r} is no AWS region; write aws://eu-central-1")
    if path.strip("/"):
        raise refuse(f"nothing stands after the region but options; {path!r} does")
    for name in options:
        if name not in OPTIONS:
            raise refuse(f"unknown option {name!r}; allowed: {', '.join(OPTIONS)}")
    account, prefix = options.get("account"), options.get("prefix", "")
    if account is not None and not ACCOUNT.fullmatch(account):
        raise refuse(f"account is {account!r}; twelve digits are wanted")
    if found := re.search(r"[^A-Za-z0-9_-]", prefix):
        raise refuse(f"prefix is {prefix!r}; AWS allows no {found[0]!r} in names, write '-'")
    if not _PREFIX.fullmatch(prefix):
        raise refuse(f"prefix is {len(prefix)} characters; 40 at most, names have 80")
    endpoint = options.get("endpoint")
    if endpoint is not None and not _is_url(endpoint):
        raise refuse(f"endpoint is {without_secrets(endpoint)!r}; write http://127.0.0.1:9324")
    api, random = Api(region, endpoint), random or RANDOM
    records, store, payloads = None, None, None
    if (text := options.get("idempotency")) is not None:
        records, store = _open_place(api, text, random)
        if records is None:
            raise refuse("idempotency is dynamodb://table, or the address of a SQL database")
    if (text := options.get("payloads")) is not None:
        payloads = _open_payloads(api, text, random)
        if payloads is None:
            raise refuse(
                f"payloads is {without_secrets(text)!r}; write s3://bucket or s3://bucket/prefix/"
            )
    state = None
    if (text := options.get("state")) is not None:
        state = _open_state(api, text, clock or SystemClock(), random, open_state)
        if state is None:
            raise refuse(f"state is {without_secrets(text)!r}; write {STATES}")
    return AwsBroker(
        api,
        prefix=prefix,
        account=account,
        records=records,
        store=store,
        state=state,
        payloads=payloads,
        clock=clock,
        random=random,
    )


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _open_place(
    api: Api, text: str, random: Random
) -> tuple[Records, CoordinationStore] | tuple[None, None]:
    """The two halves of what workers share, in one place."""
    scheme, found, table = text.partition("://")
    if not found or (scheme == "dynamodb" and not TABLE.fullmatch(table)):
        return None, None
    if scheme == "dynamodb":
        return DynamoRecords(api, table, random), DynamoStore(api, table)
    try:
        from taskflow.coordination.sql_database import open_sql_database
        from taskflow.coordination.sql_records import SqlRecords
        from taskflow.coordination.sql_store import SqlStore
    except ImportError:
        raise _needs_sqlalchemy("idempotency", scheme) from None
    database = open_sql_database(text)
    return SqlRecords(database, random), SqlStore(database)


def _open_state(
    api: Api,
    text: str,
    clock: Clock,
    random: Random,
    open_state: Callable[[str], Broker],
) -> State | None:
    scheme, found, table = text.partition("://")
    if not found or (scheme == "dynamodb" and not TABLE.fullmatch(table)):
        return None
    if scheme in LOCAL:
        opened = open_state(text)
        return LocalState(opened) if isinstance(opened, StoredBroker) else None
    if scheme == "aws":
        return None
    if scheme == "dynamodb":
        return RemoteState(DynamoRecordStore(api, table, clock, random), clock, random)
    if scheme in REDIS:
        try:
            from taskflow.coordination.redis_record_store import open_redis
        except ImportError:
            raise ConfigError(
                f"state={scheme}://… needs redis: pip install 'taskflow-events[redis]'"
            ) from None
        return RemoteState(open_redis(text), clock, random)
    try:
        from taskflow.coordination.sql_database import open_sql_database
        from taskflow.coordination.sql_record_store import SqlRecordStore
        from taskflow.coordination.sql_record_tables import RECORD_TABLES
    except ImportError:
        raise _needs_sqlalchemy("state", scheme) from None
    return RemoteState(
        SqlRecordStore(open_sql_database(text, RECORD_TABLES, "state")), clock, random
    )


def _needs_sqlalchemy(option: str, scheme: str) -> ConfigError:
    return ConfigError(
        f"{option}={scheme}://… needs SQLAlchemy: pip install 'taskflow-events[sql]'"
    )


def _open_payloads(api: Api, text: str, random: Random) -> Payloads | None:
    bucket, _, keys = text.removeprefix("s3://").partition("/")
    if not text.startswith("s3://") or not BUCKET.fullmatch(bucket):
        return None
    try:
        return Payloads(api, bucket, key_prefix(keys), random)
    except ValueError:
        return None
