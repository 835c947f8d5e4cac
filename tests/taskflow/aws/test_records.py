"""What keepers of finished and running events promise: in memory, in DynamoDB, in SQL.

The SQL database is SQLite, or the one whose address TASKFLOW_TEST_SQL names.
"""

# moto has no types.
# mypy: allow-untyped-calls

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any
from zlib import crc32

import pytest
from sqlalchemy import create_engine

from taskflow.brokers.aws.client import Api
from taskflow.brokers.aws.dynamo_records import DynamoRecords
from taskflow.coordination.event_records import Found, Key, Records, Run
from taskflow.coordination.memory_records import MemoryRecords
from taskflow.coordination.sql_database import open_sql_database
from taskflow.coordination.sql_records import EVENTS, SqlRecords
from taskflow.errors import BrokerUnavailable, ConfigError, LimitExceeded

NOW = 1_700_000_000.0
KEY = Key("work", "a", "made")
RUN = Run(KEY, "receipt")
Open = Callable[[], Records]


@pytest.fixture(scope="module")
def table(moto: str) -> Iterator[Api]:
    """DynamoDB as moto has it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "TF1")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "s")
        api = Api("us-east-1", moto)
        client = api.client("dynamodb")
    yield api
    client.close()


@pytest.fixture(params=["memory", "dynamodb", "sql"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens another process's records of the same place; those in memory are the process's own."""
    made: list[Records] = []
    memory = MemoryRecords()
    random = Random(7)
    if request.param == "dynamodb":
        api = request.getfixturevalue("table")
        name = f"t{crc32(request.node.nodeid.encode(errors='surrogatepass'))}"
        api.client("dynamodb").create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        )

    url = os.environ.get("TASKFLOW_TEST_SQL") or f"sqlite:///{tmp_path}/events.db"
    if request.param == "sql":
        engine = create_engine(url)
        EVENTS.drop(engine, checkfirst=True)
        engine.dispose()

    def open_one() -> Records:
        if request.param == "memory":
            return memory
        if request.param == "dynamodb":
            made.append(DynamoRecords(api, name, random))
        else:
            made.append(SqlRecords(open_sql_database(url), random))
        return made[-1]

    yield open_one
    for one in made:
        one.close()


def claim(records: Records, until: float = NOW + 30, now: float = NOW, **more: Any) -> Any:
    run = RUN._replace(receipt=more.get("receipt", "receipt"))
    return records.claim(run, until, now, more.get("take_over", False))


def test_an_event_is_claimed_once(opened: Open) -> None:
    one, other = opened(), opened()
    assert claim(one) is None
    assert claim(other) == Found(finished=False, until=NOW + 30)
    assert claim(one) == Found(finished=False, until=NOW + 30), "another message of that event"
    assert one.claim(Run(KEY._replace(id="b"), "1"), NOW + 30, NOW, False) is None
    assert one.claim(Run(KEY._replace(topic="other"), "2"), NOW + 30, NOW, False) is None
    assert one.claim(Run(KEY._replace(queue="audit"), "3"), NOW + 30, NOW, False) is None


def test_a_claim_ends_with_its_time(opened: Open) -> None:
    one, other = opened(), opened()
    claim(one)
    assert claim(other, now=NOW + 29) == Found(finished=False, until=NOW + 30)
    assert claim(other, NOW + 60, now=NOW + 30) is None
    assert claim(one, now=NOW + 31) == Found(finished=False, until=NOW + 60)


def test_a_claim_is_extended_by_whoever_has_it(opened: Open) -> None:
    one, other = opened(), opened()
    claim(one)
    one.extend([(RUN, NOW + 90)])
    assert claim(other, now=NOW + 40) == Found(finished=False, until=NOW + 90)
    if other is not one:
        other.extend([(RUN, NOW + 900)])
        assert claim(other, now=NOW + 40) == Found(finished=False, until=NOW + 90)


def test_a_claim_that_was_taken_over_is_the_takers(opened: Open) -> None:
    one, other = opened(), opened()
    claim(one)
    assert claim(other, take_over=True) is None
    if other is not one:
        one.extend([(RUN, NOW + 900)])
        one.release([RUN])
    assert claim(one) == Found(finished=False, until=NOW + 30)


def test_only_the_run_that_has_a_claim_ends_or_extends_it(opened: Open) -> None:
    one = opened()
    claim(one)
    assert claim(one, receipt="copy") == Found(finished=False, until=NOW + 30)
    one.extend([(Run(KEY, "copy"), NOW + 5)])
    one.release([Run(KEY, "copy")])
    assert claim(one, receipt="copy") == Found(finished=False, until=NOW + 30)


@pytest.mark.parametrize("id", ["x" * 5000, "käse", "a\0b", "\ud800", "a|b"])
def test_any_id_will_do(opened: Open, id: str) -> None:
    one, other = opened(), opened()
    key = KEY._replace(id=id)
    assert one.claim(Run(key, "1"), NOW + 30, NOW, False) is None
    assert other.claim(Run(key, "2"), NOW + 30, NOW, False) is not None
    assert one.claim(Run(key._replace(id=id + "x"), "1"), NOW + 30, NOW, False) is None
    one.remember([(key, NOW + 30)], NOW)
    assert other.finished({key, KEY}, NOW) == {key}


def test_a_released_event_may_be_claimed(opened: Open) -> None:
    one, other = opened(), opened()
    claim(one)
    one.release([RUN])
    assert claim(other) is None
    one.release([RUN._replace(receipt="another"), Run(KEY._replace(id="b"), "receipt")])


def test_a_finished_event_is_finished_for_its_time(opened: Open) -> None:
    one, other = opened(), opened()
    claim(one)
    one.remember([(KEY, NOW + 100)], NOW)
    for take_over in (False, True):
        assert claim(other, take_over=take_over) == Found(finished=True, until=NOW + 100)
    one.extend([(RUN, NOW + 900)])
    one.release([RUN])
    assert other.finished({KEY}, NOW + 99) == {KEY}
    assert other.finished({KEY}, NOW + 100) == set()
    assert claim(other, NOW + 200, now=NOW + 100) is None


def test_an_event_that_is_being_run_is_not_finished(opened: Open) -> None:
    one = opened()
    claim(one)
    assert one.finished({KEY}, NOW) == set()


def test_many_are_remembered_and_found(opened: Open) -> None:
    one, other = opened(), opened()
    keys = [Key("work", str(n), "made") for n in range(120)]
    one.remember([(key, NOW + 100) for key in keys], NOW)
    one.remember([(key, NOW + 200) for key in keys[:3]], NOW)
    assert other.finished({*keys, KEY}, NOW) == set(keys)
    assert other.finished(set(keys), NOW + 150) == set(keys[:3])


def test_of_many_at_once_one_has_it(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    # DynamoDB takes conditional writes of one item in turn. moto checks and writes in two steps,
    # and under load lets two through.
    turn, call = threading.Lock(), Api.call

    def in_turn(api: Api, *arguments: Any, **more: Any) -> Any:
        with turn:
            return call(api, *arguments, **more)

    monkeypatch.setattr(Api, "call", in_turn)
    every = [opened() for _ in range(4)]
    together = threading.Barrier(4)

    def race(records: Records) -> Any:
        together.wait(20)
        return claim(records)

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(race, every))
    assert sorted(map(repr, answers)) == sorted(
        map(repr, [None, *[Found(finished=False, until=NOW + 30)] * 3])
    )


# ---- where they cannot be ----------------------------------------------------------------------
def test_a_table_that_is_not_there_is_named(table: Api) -> None:
    with pytest.raises(LimitExceeded, match="dynamodb:PutItem on 'nowhere'"):
        claim(DynamoRecords(table, "nowhere", Random(7)))


def test_what_dynamodb_leaves_undone_is_an_error(
    table: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(service: str, method: str, resource: str, RequestItems: Any) -> Any:
        asked.append(method)
        return {"UnprocessedItems": RequestItems, "UnprocessedKeys": RequestItems}

    asked: list[str] = []
    monkeypatch.setattr(table, "call", leave)
    records = DynamoRecords(table, "slow", Random(7))
    with pytest.raises(BrokerUnavailable, match="its throughput is too low"):
        records.remember([(KEY, NOW)], NOW)
    with pytest.raises(BrokerUnavailable, match="'slow' undone 5 times"):
        records.finished({KEY}, NOW)
    assert asked == ["batch_write_item"] * 5 + ["batch_get_item"] * 5


def test_a_database_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    records = SqlRecords(open_sql_database(f"sqlite:///{tmp_path}/missing/events.db"), Random(7))
    with pytest.raises(BrokerUnavailable, match=r"missing/events\.db: unable to open"):
        claim(records)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("nosuch://user:secret@host/db", "no driver for the database"),
        ("://", "is no address of a database"),
    ],
)
def test_an_address_that_is_none_is_refused(url: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        open_sql_database(url)
    assert "secret" not in str(caught.value)


def test_the_table_is_swept_of_what_is_past_its_time(tmp_path: Path) -> None:
    records = SqlRecords(open_sql_database(f"sqlite:///{tmp_path}/events.db"), Random(7))
    records.remember([(Key("work", str(n), "made"), NOW + 10) for n in range(5)], NOW)
    records.remember([(KEY, NOW + 2000)], NOW + 1000)
    assert count(records) == 1
    records.close()


def count(records: SqlRecords) -> int:
    with records._database.connect() as connection:
        found: int = connection.exec_driver_sql("SELECT count(*) FROM taskflow_events").scalar_one()
    return found
