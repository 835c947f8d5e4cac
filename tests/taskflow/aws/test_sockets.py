"""The AWS broker over a socket, in real time: against our own server, against moto's, an
implementation we did not write, and with `make test-aws` against an account of AWS."""

# moto has no types.
# mypy: allow-untyped-calls

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from random import SystemRandom
from typing import Any
from urllib.parse import urlencode
from zlib import crc32

import pytest

from taskflow import Event, Pool, Registry, Worker, open_broker, publish
from taskflow.broker.settings import Finish, QueueSettings, WorkerReport
from taskflow.brokers.aws.broker import AwsBroker
from taskflow.brokers.aws.dynamo_records import DynamoRecords
from taskflow.clock import SystemClock
from taskflow.coordination.event_records import Key
from taskflow.errors import QueueExists, QueueNotFound, TopicNotFound
from taskflow.message import FAILURE, Attribute, Delivery, Message
from taskflow.testing import memory_broker, wire_server
from tests.taskflow.making import Handler

LONG = 20.0  # real seconds until a test gives up


@pytest.fixture(scope="module")
def ours() -> Iterator[str]:
    behind = memory_broker(clock=SystemClock())
    with wire_server(behind) as server:
        yield server.url
    behind.close()


ACCOUNT = os.environ.get("TASKFLOW_TEST_AWS")
"""The address of an account to test with: aws://eu-central-1."""
RUN = f"{SystemRandom().getrandbits(32):08x}"  # two runs in one account have names of their own
WHERE = ["moto", "ours", *(["account"] if ACCOUNT else [])]


@pytest.fixture(params=WHERE)
def broker(request: pytest.FixtureRequest) -> Iterator[AwsBroker]:
    """Each test has names of its own: the servers live as long as the module. In an account
    everything with these names is removed in the end."""
    with opened(request) as broker:
        yield broker


@contextmanager
def opened(request: pytest.FixtureRequest, where: str = "", **options: str) -> Iterator[AwsBroker]:
    """A broker at `where`, by default what the fixture `broker` is to be this time."""
    where = where or request.param
    mine = crc32(request.node.name.encode())
    if where == "account":
        assert ACCOUNT
        options["prefix"] = f"taskflow-test-{RUN}-{mine}-"
        address = ACCOUNT + ("&" if "?" in ACCOUNT else "?")
    else:
        options["prefix"] = f"t{mine}-"
        address = f"aws://us-east-1?endpoint={request.getfixturevalue(where)}&"
    broker = open_broker(address + urlencode(options))
    assert isinstance(broker, AwsBroker)
    try:
        yield broker
    finally:
        if where == "account":
            remove_all(broker)
        broker.close()


def remove_bucket(s3: Any, name: str) -> None:
    for one in s3.list_objects_v2(Bucket=name).get("Contents", ()):
        s3.delete_object(Bucket=name, Key=one["Key"])
    s3.delete_bucket(Bucket=name)


def remove_all(broker: AwsBroker) -> None:
    for topic in broker.topics():
        broker.delete_topic(topic)
    for queue in broker.queues():
        broker.delete_queue(queue)


@pytest.fixture
def queue(broker: AwsBroker) -> str:
    for _ in range(2):
        broker.create_topic("order.created")
        broker.create_queue("work-dlq")
        broker.create_queue("work", QueueSettings(dead_letter_queue="work-dlq", max_receives=3))
        broker.subscribe("order.created", "work")
    return "work"


def test_a_message_goes_from_a_topic_to_its_queue_and_is_gone(
    broker: AwsBroker, queue: str
) -> None:
    attributes: dict[str, str | Attribute] = {"colour": "blau", "n": Attribute("Number", "1")}
    messages = [Message(str(n), f"käse ☃ {n}", attributes) for n in range(12)]
    answer = broker.publish("order.created", messages)
    assert [one.id for one in answer.sent] == [str(n) for n in range(12)]
    assert answer.subscriptions == 1
    found = broker.receive(queue, limit=12, wait=5)
    found += broker.receive(queue, limit=12)
    assert sorted(int(one.id) for one in found) == list(range(12))
    assert {one.topic for one in found} == {"order.created"}
    assert found[0].attributes == attributes
    assert found[0].body == f"käse ☃ {found[0].id}"
    assert broker.delete([Finish(one) for one in found]) == [True] * 12
    assert broker.receive(queue) == []


def test_hidden_shown_given_back(broker: AwsBroker, queue: str) -> None:
    broker.send(queue, [Message("1", "x")])
    (held,) = broker.receive(queue, wait=5)
    assert broker.receive(queue) == []
    assert broker.change_visibility([(held, 60)]) == [True]
    assert broker.give_back([held]) == [True]
    (again,) = broker.receive(queue, wait=5)
    assert again.receive_count == 1
    assert broker.change_visibility([(held, 60)]) == [False]
    assert broker.change_visibility([(again, 0)]) == [True]
    assert broker.receive(queue, wait=5)[0].receive_count == 2


def test_dead_letters_and_back(broker: AwsBroker, queue: str) -> None:
    broker.publish("order.created", [Message("1", "x", {"a": "b"})])
    (held,) = broker.receive(queue, wait=5)
    assert broker.dead_letter([(held, '{"reason": "no"}')]) == [True]
    (letter,) = broker.peek("work-dlq")
    assert letter.attributes == {"a": "b", FAILURE: '{"reason": "no"}'}
    assert (letter.topic, letter.source) == ("order.created", "work")
    assert broker.redrive("work-dlq") == 1
    (back,) = broker.receive(queue, wait=5)
    assert (back.id, back.attributes, back.receive_count) == ("1", {"a": "b"}, 1)


def test_a_long_poll_hears_of_a_message_and_stops_when_told(broker: AwsBroker, queue: str) -> None:
    stop = threading.Event()
    found: list[Any] = []
    threads = [
        threading.Thread(
            target=lambda: found.extend(broker.receive(queue, wait=20, stop=stop.is_set))
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    broker.publish("order.created", [Message("1", "x")])
    while not found and any(thread.is_alive() for thread in threads):
        threads[0].join(0.05)
    stop.set()
    broker.wake()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
    assert [one.id for one in found] == ["1"]


@pytest.mark.slow
def test_order_within_a_group(broker: AwsBroker) -> None:
    broker.create_topic("made.fifo")
    broker.create_queue("work.fifo")
    broker.subscribe("made.fifo", "work.fifo")
    messages = [
        Message(f"{g}{n}", "x", group=g, deduplication_id=f"{g}{n}") for g in "ab" for n in range(3)
    ]
    broker.publish("made.fifo", messages)
    broker.publish("made.fifo", messages[:1])
    found = []
    while more := broker.receive("work.fifo", limit=10, wait=1):
        found += more
        broker.delete([Finish(one) for one in more])
    for group in "ab":
        assert [one.id for one in found if one.group == group] == [f"{group}{n}" for n in range(3)]


def test_what_is_there_is_told_and_what_differs_too(broker: AwsBroker, queue: str) -> None:
    assert (broker.topics(), broker.queues()) == (["order.created"], ["work", "work-dlq"])
    assert [(one.topic, one.queue, one.raw) for one in broker.subscriptions("order.created")] == [
        ("order.created", "work", True)
    ]
    assert broker.settings(queue).max_receives == 3
    with pytest.raises(QueueExists, match=r"visibility_timeout is 30, declared as 5"):
        broker.create_queue(queue, QueueSettings(visibility_timeout=5))
    broker.set_queue(queue, QueueSettings(visibility_timeout=5))
    assert broker.settings(queue) == QueueSettings(visibility_timeout=5)
    with pytest.raises(QueueNotFound, match="known: work, work-dlq"):
        broker.receive("wrok")
    with pytest.raises(TopicNotFound):
        broker.publish("order.creatd", [Message("1", "x")])


@pytest.mark.slow
def test_a_pool_runs_until_it_is_told_to_stop(broker: AwsBroker) -> None:
    registry = Registry()
    failing = Handler(failures=99)
    seen: set[int] = set()
    done = threading.Event()

    @registry.subscribe("order.created", queue="work")
    def handle(event: Event[Any]) -> None:
        seen.add(event.payload["n"])
        if len(seen) == 30:
            done.set()

    registry.subscribe("order.lost", queue="lost", retries=0)(failing)
    pool = Pool(Worker(broker, registry=registry), concurrency=4)
    thread = threading.Thread(target=pool.run)
    thread.start()
    publish("order.lost", {}, broker=broker)
    for n in range(30):
        publish("order.created", {"n": n}, broker=broker)
    assert done.wait(LONG)
    assert broker.receive("lost-dlq", wait=LONG) != []
    pool.stop()
    thread.join(LONG)
    assert not thread.is_alive()
    assert seen == set(range(30))
    counts = broker.counts("work")
    assert (counts.visible, counts.in_flight) == (0, 0)


@pytest.fixture(params=[one for one in WHERE if one != "ours"])
def neighbours(request: pytest.FixtureRequest) -> Iterator[tuple[AwsBroker, AwsBroker]]:
    """Two brokers with one table and one bucket."""
    name = f"taskflow-test-{RUN}"
    more = {"idempotency": f"dynamodb://{name}", "payloads": f"s3://{name}/"}
    with ExitStack() as stack:
        one, other = (stack.enter_context(opened(request, request.param, **more)) for _ in range(2))
        dynamodb, s3 = one.api.client("dynamodb"), one.api.client("s3")
        place = {"LocationConstraint": one.api.region}
        made = {} if one.api.region == "us-east-1" else {"CreateBucketConfiguration": place}
        s3.create_bucket(Bucket=name, **made)
        stack.callback(remove_bucket, s3, name)
        dynamodb.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        )
        stack.callback(dynamodb.delete_table, TableName=name)
        dynamodb.get_waiter("table_exists").wait(TableName=name)
        yield one, other


@pytest.mark.slow
def test_a_large_event_reaches_every_queue(neighbours: tuple[AwsBroker, AwsBroker]) -> None:
    one, other = neighbours
    one.create_topic("order.created")
    for queue in ("work", "audit"):
        one.create_queue(queue)
        one.subscribe("order.created", queue)
    publish("order.created", "x" * 1_500_000, broker=one)
    bodies = []
    for queue in ("work", "audit"):
        (found,) = other.receive(queue, wait=LONG)
        bodies.append(len(found.body))
        assert other.delete([Finish(found)]) == [True]
    assert min(bodies) > 1_500_000
    kept = one.api.client("s3").list_objects_v2(Bucket=f"taskflow-test-{RUN}")
    assert kept["KeyCount"] == 0


@pytest.mark.slow
def test_finished_events_are_remembered_in_a_table(
    neighbours: tuple[AwsBroker, AwsBroker],
) -> None:
    one, other = neighbours
    assert isinstance(one._records, DynamoRecords)
    one.create_queue("idempotent")
    one.send("idempotent", [Message(str(n), "x") for n in range(30)])
    held: list[Delivery] = []
    while len(held) < 30:
        held += one.receive("idempotent", limit=30, wait=5)
    one.delete([Finish(each, remember=100) for each in held[:-1]])
    keys = {(each.id, "") for each in held}
    assert other.finished("idempotent", keys) == keys - {(held[-1].id, "")}
    assert other.finished("idempotent", {(held[0].id, "other.topic")}) == set()
    later = one.clock.now() + 102
    known = {Key("idempotent", id, topic) for id, topic in keys}
    assert one._records.finished(known, later) == set()
    assert one.claim(held[-1:]) == ["free"]
    other.send("idempotent", [Message(held[-1].id, "x")])
    (copy,) = other.receive("idempotent", wait=LONG)
    assert other.claim([copy]) == ["running"]


@pytest.mark.slow
def test_hosts_share_pauses_rates_leases_and_reports_in_a_table(
    neighbours: tuple[AwsBroker, AwsBroker],
) -> None:
    one, other = neighbours
    one.create_queue("shared")
    one.send("shared", [Message("a", "x")])
    one.pause("shared")
    assert other.receive("shared", wait=1) == []
    assert other.counts("shared").paused
    other.pause("shared", False)
    assert len(other.receive("shared", wait=LONG)) == 1
    one.take("handler", 0.001, 3)
    assert -2.1 < other.take("handler", 0.001) < -1.9
    assert one.hold("ticks", "one", 60)
    assert not other.hold("ticks", "other", 60)
    one.report(WorkerReport("w", "host", 1, ("shared",), one.clock.now(), 0, 8, {}, ()))
    assert [each.id for each in other.workers()] == ["w"]
    other.retire("w")
    assert one.workers() == []
