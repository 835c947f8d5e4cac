"""Addresses of AWS: what they may say, and what is said of those that cannot be."""

import builtins
import sys
from typing import Any

import pytest

from taskflow import open_broker
from taskflow.brokers.aws.broker import AwsBroker
from taskflow.brokers.aws.client import READ_TIMEOUT
from taskflow.brokers.aws.dynamo_record_store import DynamoRecordStore
from taskflow.brokers.aws.dynamo_records import DynamoRecords
from taskflow.brokers.aws.local_state import LocalState
from taskflow.brokers.aws.remote_state import RemoteState
from taskflow.coordination.memory_records import MemoryRecords
from taskflow.coordination.redis_record_store import RedisRecordStore
from taskflow.coordination.sql_record_store import SqlRecordStore
from taskflow.coordination.sql_records import SqlRecords
from taskflow.errors import ConfigError, InvalidName
from taskflow.limits import MAX_RECEIVE_WAIT

LOCAL = "endpoint=http://127.0.0.1:9"


def opened(address: str) -> AwsBroker:
    broker = open_broker(address)
    assert isinstance(broker, AwsBroker)
    return broker


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("aws://", "'' is no AWS region; write aws://eu-central-1"),
        ("aws://Nowhere", "'Nowhere' is no AWS region"),
        ("aws://mars-north-1", "no AWS region of that name; known: af-south-1"),
        ("aws://eu-central-1/queue", "nothing stands after the region but options; '/queue' does"),
        ("aws://eu-central-1?acount=1", "unknown option 'acount'; allowed: account, endpoint"),
        ("aws://eu-central-1?account=12", "account is '12'; twelve digits"),
        ("aws://eu-central-1?prefix=a.b", "AWS allows no '.' in names, write '-'"),
        (f"aws://eu-central-1?prefix={'a' * 41}", "prefix is 41 characters; 40 at most"),
        ("aws://eu-central-1?endpoint=127.0.0.1:9324", "write http://127.0.0.1:9324"),
        ("aws://eu-central-1?endpoint=http://h:x", "write http://127.0.0.1:9324"),
        ("aws://eu-central-1?idempotency=done", "idempotency is dynamodb://table, or the address"),
        ("aws://eu-central-1?idempotency=dynamodb://a/b", "idempotency is dynamodb://table, or"),
        ("aws://eu-central-1?idempotency=postgres://t", "no driver for the database"),
        ("aws://eu-central-1?state=done", "state is 'done'; write dynamodb://table, redis://"),
        ("aws://eu-central-1?state=dynamodb://a/b", "state is 'dynamodb://a/b'; write dynamodb"),
        ("aws://eu-central-1?state=aws://eu-central-1", "state is 'aws://eu-central-1'; write"),
        ("aws://eu-central-1?state=postgres://t", "no driver for the database of state="),
        ("aws://eu-central-1?state=memory://t", "broker address 'memory://t'"),
        ("aws://eu-central-1?payloads=bucket", "payloads is 'bucket'; write s3://bucket or"),
        ("aws://eu-central-1?payloads=s3://Bucket", "payloads is 's3://Bucket'; write s3"),
        ("aws://eu-central-1?payloads=s3://bucket/a%20b", "write s3://bucket or s3://bucket/pre"),
        ("sqs://eu-central-1", "sqs scheme; allowed are .*aws://REGION"),
    ],
)
def test_an_address_that_cannot_be_is_refused(address: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        open_broker(address)


def test_behind_an_endpoint_any_region_will_do() -> None:
    opened(f"aws://local-1?{LOCAL}").close()


@pytest.mark.parametrize(
    ("region", "partition"), [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
)
def test_a_region_has_its_partition(region: str, partition: str) -> None:
    broker = opened(f"aws://{region}?account=111122223333&prefix=p-")
    arn = broker._directory.topic_arn("order.created")
    assert arn == f"arn:{partition}:sns:{region}:111122223333:p-order-created"


def test_finished_events_are_remembered_where_the_address_says() -> None:
    memory = opened(f"aws://eu-west-1?{LOCAL}")
    table = opened(f"aws://eu-west-1?{LOCAL}&idempotency=dynamodb://done")
    sql = opened(f"aws://eu-west-1?{LOCAL}&idempotency=sqlite:////nowhere/events.db")
    assert isinstance(sql._records, SqlRecords)
    assert isinstance(memory._records, MemoryRecords)
    assert isinstance(table._records, DynamoRecords)


def test_the_state_lies_where_the_address_says() -> None:
    def store(state: str) -> object:
        broker = opened(f"aws://eu-west-1?{LOCAL}&state={state}")
        assert isinstance(broker._state, RemoteState)
        return broker._state._store

    assert isinstance(store("dynamodb://state"), DynamoRecordStore)
    assert isinstance(store("sqlite%2Bpysqlite:////nowhere/state.db"), SqlRecordStore)
    assert isinstance(store("rediss://host:6380/1"), RedisRecordStore)
    for local in ("", "&state=memory://"):
        broker = opened(f"aws://eu-west-1?{LOCAL}{local}")
        assert isinstance(broker._state, LocalState)
        broker.close()


def test_the_address_of_a_state_is_quoted_without_its_password() -> None:
    with pytest.raises(ConfigError, match=r"state is .aws://host") as caught:
        open_broker("aws://eu-central-1?state=aws://user:secret@host")
    assert "secret" not in str(caught.value)


def test_an_address_is_quoted_without_its_password() -> None:
    url = "postgresql%2Bpsycopg://user:secret@host/db"
    with pytest.raises(ConfigError, match=r"aws://eu-central-1.: unknown option") as caught:
        open_broker(f"aws://eu-central-1?idempotency={url}&acount=1")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("module", "option", "needs"),
    [
        ("sql_records", "idempotency=sqlite:///events.db", "SQLAlchemy"),
        ("sql_record_store", "state=mysql://host/state", "SQLAlchemy"),
        ("redis_record_store", "state=redis://host/0", "redis"),
    ],
)
def test_without_its_library_a_place_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, module: str, option: str, needs: str
) -> None:
    monkeypatch.setitem(sys.modules, f"taskflow.coordination.{module}", None)
    extra = {"SQLAlchemy": "sql", "redis": "redis"}[needs]
    why = rf"{option.partition(':')[0]}://… needs {needs}: pip install 'taskflow-events\[{extra}\]'"
    with pytest.raises(ConfigError, match=why):
        open_broker(f"aws://eu-central-1?{LOCAL}&{option}")


def test_a_request_may_take_longer_than_a_long_poll() -> None:
    broker = opened(f"aws://eu-west-1?{LOCAL}")
    assert broker.api.client("sqs").meta.config.read_timeout == READ_TIMEOUT > MAX_RECEIVE_WAIT


def test_without_boto3_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("taskflow.brokers.aws.")]:
        monkeypatch.delitem(sys.modules, name)
    load = builtins.__import__

    def without(name: str, *more: Any, **named: Any) -> Any:
        if name.partition(".")[0] == "boto3":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return load(name, *more, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"pip install 'taskflow-events\[aws\]'"):
        open_broker("aws://eu-central-1")


# ---- names ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("topic", "wire"),
    [
        ("order.created", "p-order-created"),
        ("order_item.created.fifo", "p-order_item-created.fifo"),
        ("made", "p-made"),
    ],
)
def test_topic_names_go_there_and_come_back(topic: str, wire: str) -> None:
    directory = opened(f"aws://eu-west-1?{LOCAL}&account=111122223333&prefix=p-")._directory
    assert directory.wire_topic(topic) == wire
    assert directory.topic_of(directory.topic_arn(topic)) == topic


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:sns:eu-west-1:111122223333:other",
        "arn:aws:sns:eu-west-1:111122223333:p-a--b",
        "arn:aws:sqs:eu-west-1:111122223333:p-made",
        "no arn",
    ],
)
def test_what_is_not_ours_has_no_topic(arn: str) -> None:
    directory = opened(f"aws://eu-west-1?{LOCAL}&account=111122223333&prefix=p-")._directory
    assert directory.topic_of(arn) is None


def test_the_prefix_counts_in_the_length_of_a_name() -> None:
    directory = opened(f"aws://eu-west-1?{LOCAL}&prefix=p-")._directory
    directory.wire_queue("q" * 78)
    with pytest.raises(InvalidName, match="81 characters; 80 characters at most, the prefix"):
        directory.wire_queue("q" * 79)
    with pytest.raises(InvalidName, match="no '/' on AWS"):
        directory.wire_queue("eu-west-1/q")
