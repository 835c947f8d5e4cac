"""Opening the AWS broker by its address: `aws://REGION?endpoint=…&account=…&prefix=…`."""

import re
from collections.abc import Mapping
from random import Random
from urllib.parse import urlsplit

from taskflow.brokers.aws.broker import AwsBroker
from taskflow.brokers.aws.client import Api
from taskflow.brokers.aws.records import DynamoRecords, Records
from taskflow.clock import Clock
from taskflow.errors import ConfigError

OPTIONS = ("account", "endpoint", "idempotency", "prefix")
_REGION = re.compile(r"[a-z]{2,}(-[a-z0-9]+)+")
_ACCOUNT = re.compile(r"[0-9]{12}")
_PREFIX = re.compile(r"[A-Za-z0-9_-]{0,40}")
_TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}")


def open_aws(
    address: str,
    region: str,
    path: str,
    options: Mapping[str, str],
    clock: Clock | None = None,
    random: Random | None = None,
) -> AwsBroker:
    """Open SNS and SQS of a region; nothing is asked of AWS yet.

    `endpoint`: another SNS/SQS server. `account`: the owner of topics and queues, if not that of
    the credentials. `prefix`: before all names. `idempotency=dynamodb://table`: where finished
    events are remembered for all workers. Raises ConfigError.
    """

    def refuse(what: str) -> ConfigError:
        return ConfigError(f"broker address {address!r}: {what}")

    if not _REGION.fullmatch(region):
        raise refuse(f"{region!r} is no AWS region; write aws://eu-central-1")
    if path.strip("/"):
        raise refuse(f"nothing stands after the region but options; {path!r} does")
    for name in options:
        if name not in OPTIONS:
            raise refuse(f"unknown option {name!r}; allowed: {', '.join(OPTIONS)}")
    account, prefix = options.get("account"), options.get("prefix", "")
    if account is not None and not _ACCOUNT.fullmatch(account):
        raise refuse(f"account is {account!r}; twelve digits are wanted")
    if found := re.search(r"[^A-Za-z0-9_-]", prefix):
        raise refuse(f"prefix is {prefix!r}; AWS allows no {found[0]!r} in names, write '-'")
    if not _PREFIX.fullmatch(prefix):
        raise refuse(f"prefix is {len(prefix)} characters; 40 at most, names have 80")
    endpoint = options.get("endpoint")
    if endpoint is not None and not _is_url(endpoint):
        raise refuse(f"endpoint is {endpoint!r}; write http://127.0.0.1:9324")
    api = Api(region, endpoint)
    records = None
    if (text := options.get("idempotency")) is not None:
        records = _open_records(api, text)
        if records is None:
            raise refuse(f"idempotency is {text!r}; write dynamodb://table")
    return AwsBroker(
        api, prefix=prefix, account=account, records=records, clock=clock, random=random
    )


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _open_records(api: Api, text: str) -> Records | None:
    parts = urlsplit(text)
    if parts.scheme != "dynamodb" or not _TABLE.fullmatch(parts.netloc) or parts.path:
        return None
    return DynamoRecords(api, parts.netloc)
