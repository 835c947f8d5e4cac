"""What keepers of pauses, rates, leases and reports promise: in memory, in DynamoDB, in SQL.

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
from zlib import crc32

import pytest
from sqlalchemy import create_engine

from taskflow.broker.settings import WorkerReport
from taskflow.brokers.aws.client import Api
from taskflow.brokers.aws.dynamo_records import DynamoRecords
from taskflow.brokers.aws.dynamo_store import DynamoStore
from taskflow.coordination.coordination_store import CoordinationStore
from taskflow.coordination.memory_store import MemoryStore
from taskflow.coordination.sql_database import TABLES, open_sql_database
from taskflow.coordination.sql_store import SqlStore
from taskflow.errors import BrokerUnavailable, LimitExceeded

NOW = 1_700_000_000.0
Open = Callable[[], CoordinationStore]


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


@pytest.fixture
def name(table: Api, request: pytest.FixtureRequest) -> str:
    """A table of this test's own."""
    name = f"c{crc32(request.node.nodeid.encode())}"
    table.client("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )
    return name


@pytest.fixture(params=["memory", "dynamodb", "sql"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens another host's store of the same place; that in memory is the process's own."""
    made: list[CoordinationStore] = []
    if request.param == "memory":
        memory = MemoryStore()

        def open_one() -> CoordinationStore:
            return memory

    elif request.param == "dynamodb":
        api, name = request.getfixturevalue("table"), request.getfixturevalue("name")

        def open_one() -> CoordinationStore:
            return DynamoStore(api, name)

    else:
        url = os.environ.get("TASKFLOW_TEST_SQL") or f"sqlite:///{tmp_path}/events.db"
        engine = create_engine(url)
        TABLES.drop_all(engine)
        engine.dispose()

        def open_one() -> CoordinationStore:
            made.append(SqlStore(open_sql_database(url)))
            return made[-1]

    yield open_one
    for one in made:
        one.close()


def say(id: str, seen_at: float = NOW, busy: int = 1) -> WorkerReport:
    handlers = {"app.audit": {"handled": 3.0, "seconds": 0.5}}
    return WorkerReport(
        id, "host", 7, ("work", "audit"), NOW, busy, 8, handlers, [{"why": "x"}], seen_at
    )


def test_a_pause_is_seen_by_others_until_the_queue_is_resumed(opened: Open) -> None:
    one, other = opened(), opened()
    assert other.paused() == frozenset()
    for queue in ("work", "audit.fifo", "work"):
        one.pause(queue, True)
    assert other.paused() == {"work", "audit.fifo"}
    for _ in range(2):
        other.pause("work", False)
    assert one.paused() == {"audit.fifo"}
    other.pause("audit.fifo", False)
    assert one.paused() == frozenset()


def test_of_queues_that_are_paused_at_once_none_is_lost(opened: Open) -> None:
    opened().paused()
    queues = [f"q{number}" for number in range(8)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda queue: opened().pause(queue, True), queues))
    assert opened().paused() == set(queues)


def test_a_bucket_is_full_at_first_goes_below_nothing_and_fills_up(opened: Open) -> None:
    one, other = opened(), opened()
    assert one.take("r", 20.0, 0, NOW) == 2.0
    assert one.take("r", 20.0, 1, NOW) == 1.0
    assert other.take("r", 20.0, 3, NOW) == -2.0
    assert one.take("r", 20.0, 0, NOW) == -2.0
    assert one.take("r", 20.0, 0, NOW + 0.125) == 0.5
    assert one.take("r", 20.0, 0.25, NOW + 0.125) == 0.25
    assert other.take("r", 20.0, 0, NOW + 60) == 2.0
    assert other.take("other", 1.0, 0, NOW) == 1.0


def test_to_look_writes_nothing_and_takes_nothing(opened: Open) -> None:
    one = opened()
    one.take("r", 1.0, 2, NOW)
    assert [one.take("r", 1.0, 0, NOW + 0.5) for _ in range(3)] == [-0.5] * 3
    assert one.take("r", 1.0, 0, NOW + 1) == 0.0


@pytest.mark.slow
def test_of_what_is_taken_at_once_nothing_is_lost(opened: Open) -> None:
    opened().take("r", 1.0, 1, NOW)
    together = threading.Barrier(4)

    def take(_: int) -> None:
        store = opened()
        together.wait(20)
        for _ in range(5):
            store.take("r", 1.0, 1, NOW)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(take, range(4)))
    assert opened().take("r", 1.0, 0, NOW) == -20.0


def test_a_host_whose_clock_is_behind_gives_no_tokens_away(opened: Open) -> None:
    one, other = opened(), opened()
    one.take("r", 10.0, 5, NOW)
    if one.remote:
        assert other.take("r", 10.0, 1, NOW - 1) == -5.0
        assert one.take("r", 10.0, 0, NOW) == -5.0


def test_a_bucket_whose_time_lies_far_ahead_fills_up_from_now_on(opened: Open) -> None:
    """The clock was set back: nobody waits for the hour to pass again."""
    one = opened()
    one.take("r", 10.0, 2, NOW + 3600)
    assert one.take("r", 10.0, 0, NOW) == -1.0
    assert one.take("r", 10.0, 0, NOW + 1) == 1.0


def test_a_lease_is_one_holders_until_it_lapses(opened: Open) -> None:
    one, other = opened(), opened()
    assert one.hold("tick", "a", 10, NOW)
    assert not other.hold("tick", "b", 10, NOW + 9.5)
    assert one.hold("tick", "a", 10, NOW + 9.5), "prolonged"
    assert not other.hold("tick", "b", 10, NOW + 19)
    assert other.hold("tick", "b", 10, NOW + 19.5)
    assert not one.hold("tick", "a", 10, NOW + 20)
    assert one.hold("other", "a", 10, NOW + 20)


def test_a_lease_that_is_given_up_is_free(opened: Open) -> None:
    one, other = opened(), opened()
    one.hold("tick", "a", 10, NOW)
    assert one.hold("tick", "a", 0, NOW + 1)
    assert other.hold("tick", "b", 10, NOW + 1)


@pytest.mark.parametrize("before", [False, True])
def test_of_many_that_want_a_lease_one_has_it(opened: Open, before: bool) -> None:
    if before:
        opened().hold("tick", "gone", 1, NOW - 5)
    together = threading.Barrier(4)

    def hold(holder: str) -> bool:
        store = opened()
        together.wait(20)
        return store.hold("tick", holder, 10, NOW)

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(hold, "abcd")) == 1


def test_workers_are_listed_by_what_they_said_last(opened: Open) -> None:
    one, other = opened(), opened()
    one.report(say("b"))
    other.report(say("a", NOW + 5))
    one.report(say("b", NOW + 10, busy=4))
    assert other.workers(NOW, 0) == [say("a", NOW + 5), say("b", NOW + 10, busy=4)]
    assert other.workers(NOW + 6, 0) == [say("b", NOW + 10, busy=4)]
    for _ in range(2):
        other.retire("b")
    assert one.workers(NOW, 0) == [say("a", NOW + 5)]


def test_an_old_report_is_dropped_and_its_worker_may_come_back(opened: Open) -> None:
    one, other = opened(), opened()
    one.report(say("a"))
    one.report(say("b", NOW + 299))
    assert other.workers(NOW + 270, NOW + 1) == [say("b", NOW + 299)]
    assert other.workers(0, 0) == [say("b", NOW + 299)]
    one.report(say("a", NOW + 310))
    assert other.workers(NOW + 300, 0) == [say("a", NOW + 310)]


def test_workers_that_report_at_once_are_all_listed(opened: Open) -> None:
    opened().workers(0, 0)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: opened().report(say(f"w{number}")), range(12)))
    assert len(opened().workers(NOW, 0)) == 12


def test_the_identity_is_known_to_others(opened: Open) -> None:
    one, other = opened(), opened()
    assert one.identity() == {}
    one.set_identity({})
    one.set_identity({"account": "1", "region": "eu-central-1"})
    other.set_identity({"account": "2", "key of 'signing'": "-----\n"})
    assert one.identity() == {
        "account": "2",
        "region": "eu-central-1",
        "key of 'signing'": "-----\n",
    }


# ---- DynamoDB -------------------------------------------------------------------------------
def test_events_and_what_workers_share_lie_in_one_table(table: Api, name: str) -> None:
    store, records = DynamoStore(table, name), DynamoRecords(table, name, Random(7))
    store.pause("work", True)
    store.take("work", 1.0, 1, NOW)
    assert records.finished([], NOW) == set()
    assert store.paused() == {"work"}


def test_a_worker_that_was_dropped_from_the_list_is_listed_again(table: Api, name: str) -> None:
    """Its item is there, but whoever dropped it ended in between."""
    store = DynamoStore(table, name)
    store.report(say("a"))
    store._change_set("~workers", "DELETE", ["a"])
    store.report(say("a", NOW + 10))
    assert store.workers(0, 0) == []
    store.report(say("a", NOW + 300))
    assert store.workers(0, 0) == [say("a", NOW + 300)]


def test_a_worker_whose_item_dynamodb_has_dropped_is_no_more_listed(table: Api, name: str) -> None:
    store = DynamoStore(table, name)
    store.report(say("a"))
    store._call("delete_item", Key={"id": {"S": "~worker|a"}})
    assert store.workers(0, 0) == []
    assert store._get("~workers").get("names") is None


def test_more_workers_than_one_request_reads_are_listed(
    table: Api, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskflow.brokers.aws.dynamo_store._READ", 2)
    store = DynamoStore(table, name)
    for number in range(5):
        store.report(say(f"w{number}"))
    assert len(store.workers(0, 0)) == 5


def test_a_table_that_is_not_there_is_named(table: Api) -> None:
    with pytest.raises(LimitExceeded, match="missing"):
        DynamoStore(table, "missing").paused()


@pytest.mark.slow
def test_a_bucket_that_others_change_all_the_time_is_an_error(
    table: Api, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = DynamoStore(table, name), DynamoStore(table, name)
    store.take("r", 1.0, 1, NOW)
    put = store._put_bucket

    def late(*given: object) -> None:
        other.take("r", 1.0, 1, NOW)
        put(*given)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(store, "_put_bucket", late)
    with pytest.raises(BrokerUnavailable, match=r"bucket 'r' in table '.*' changed 20 times"):
        store.take("r", 1.0, 1, NOW)
