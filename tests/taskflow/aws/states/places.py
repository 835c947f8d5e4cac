"""Places where hosts share records: what their tests open, and how they are made empty."""

# moto has no types.
# mypy: allow-untyped-calls

import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from urllib.parse import quote
from zlib import crc32

from fakeredis import TcpFakeServer
from redis import Redis
from sqlalchemy import create_engine

from taskflow.brokers.aws.client import Api
from taskflow.brokers.aws.dynamo_record_store import DynamoRecordStore
from taskflow.clock import Clock
from taskflow.coordination.record_store import RecordStore
from taskflow.coordination.redis_record_store import open_redis
from taskflow.coordination.sql_database import open_sql_database
from taskflow.coordination.sql_record_store import SqlRecordStore
from taskflow.coordination.sql_record_tables import RECORD_TABLES
from tests.contract.clients import give_back, lent_clients

PLACES = ["dynamodb", "sql", "redis"]
PAGE = Path(__file__).parents[4] / "docs/aws.md"


class Place(NamedTuple):
    """A place that is empty: what `state=` says of it, and how another host opens it."""

    state: str
    open: Callable[[Clock], RecordStore]

    @property
    def address(self) -> str:
        """The broker whose state lies there, over the server in this process."""
        where = quote(self.state, safe=":/")
        return f"aws://us-east-1?endpoint=http://localhost:9324&state={where}"


@cache
def table_of_the_page() -> dict[str, Any]:
    """The table as docs/aws.md has it made."""
    (text,) = re.findall(r"```json\n(\{\n  \"TableName.*?)```", PAGE.read_text(), re.DOTALL)
    found: dict[str, Any] = json.loads(text)
    return found


def rights_of_the_page() -> set[str]:
    """The actions that docs/aws.md says the table takes."""
    _, _, section = PAGE.read_text().partition("### The table of state")
    return set(re.findall(r"`(dynamodb:[A-Za-z]+)`", section))


def make_table(api: Api, name: str) -> None:
    """Make the table of the page under a name."""
    api.client("dynamodb").create_table(**{**table_of_the_page(), "TableName": name})


@contextmanager
def dynamo_place(moto: str, test: str) -> Iterator[Place]:
    """A table of this test's own, in moto. AWS_ENDPOINT_URL_DYNAMODB must say where that is."""
    with lent_clients():
        api = Api("us-east-1", moto)
    name = f"s{crc32(test.encode(errors='surrogatepass'))}"
    make_table(api, name)
    yield Place(f"dynamodb://{name}", lambda clock: DynamoRecordStore(api, name, clock, Random(7)))
    give_back(api)


@contextmanager
def sql_place(folder: Path) -> Iterator[Place]:
    """The database that TASKFLOW_TEST_SQL names, emptied, or a file of SQLite."""
    url = os.environ.get("TASKFLOW_TEST_SQL") or f"sqlite+pysqlite:///{folder}/state.db"
    engine = create_engine(url)
    RECORD_TABLES.drop_all(engine)
    engine.dispose()
    opened: list[SqlRecordStore] = []

    def open_one(clock: Clock) -> RecordStore:
        opened.append(SqlRecordStore(open_sql_database(url, RECORD_TABLES, "state")))
        return opened[-1]

    yield Place(url, open_one)
    for one in opened:
        one.close()


@contextmanager
def redis_place() -> Iterator[Place]:
    """The Redis that TASKFLOW_TEST_REDIS names, emptied, or a fake one in this process."""
    if url := os.environ.get("TASKFLOW_TEST_REDIS"):
        with redis_at(url) as place:
            yield place
        return
    server = TcpFakeServer(("127.0.0.1", 0))
    thread = threading.Thread(target=server.serve_forever, args=[0.01], name="fake-redis")
    thread.start()
    try:
        with redis_at(f"redis://127.0.0.1:{server.server_address[1]}/0") as place:
            yield place
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def redis_at(url: str) -> Iterator[Place]:
    """The Redis at an address, emptied."""
    with Redis.from_url(url) as client:
        client.flushdb()
    opened: list[RecordStore] = []

    def open_one(_: Clock) -> RecordStore:
        opened.append(open_redis(url))
        return opened[-1]

    yield Place(url, open_one)
    for one in opened:
        one.close()
