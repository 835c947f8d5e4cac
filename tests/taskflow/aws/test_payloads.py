"""Payloads that are too large for SNS and SQS: in S3 (moto's) while the message waits."""

# moto and botocore have no types.
# mypy: allow-untyped-calls

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from taskflow import Event, Registry, Reject, Worker, publish
from taskflow.aws.handler import lambda_handler
from taskflow.broker.settings import Finish, QueueSettings
from taskflow.brokers.aws.broker import AwsBroker
from taskflow.brokers.aws.client import _translate
from taskflow.brokers.aws.pointers import Pointer, find_pointer
from taskflow.brokers.aws.receipts import Receipt, read_receipt
from taskflow.errors import BrokerUnavailable, LimitExceeded
from taskflow.message import FAILURE, Attribute, Message
from tests.contract.wire import ADDRESS, SharedClock, aws_broker
from tests.taskflow.test_lambda import Given, Source

LARGE = "käse " * 50_000  # 300 kB: too much for a topic
HUGE = LARGE * 4  # for a queue, too


class Bucket:
    """What is in the bucket of a test."""

    def __init__(self, broker: AwsBroker, name: str) -> None:
        self.client = broker.api.client("s3")
        self.name = name
        self.client.create_bucket(Bucket=name)

    def names(self) -> list[str]:
        found = self.client.list_objects_v2(Bucket=self.name).get("Contents", ())
        return [one["Key"] for one in found]

    def put(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=content)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)


@pytest.fixture
def broker(
    clock: SharedClock, moto: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> Iterator[AwsBroker]:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", moto)
    with aws_broker(clock, f"{ADDRESS}&payloads=s3://{name}/large/") as opened:
        yield opened


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return str(request.node.originalname).replace("_", "-")[:60].rstrip("-")


@pytest.fixture
def bucket(broker: AwsBroker, name: str) -> Bucket:
    return Bucket(broker, name)


def body_on_sqs(broker: AwsBroker, queue: str) -> Any:
    """What lies in the queue."""
    url = broker._directory.url(queue)
    answer = broker.api.client("sqs").receive_message(
        QueueUrl=url, VisibilityTimeout=0, MessageAttributeNames=["All"]
    )
    return answer["Messages"][0]


def test_a_large_event_goes_through_a_topic_and_is_gone_after_the_ack(
    broker: AwsBroker, queue: str, bucket: Bucket
) -> None:
    publish("order.created", LARGE, id="a", broker=broker, attributes={"colour": "blue"})
    (key,) = bucket.names()
    assert key.startswith("large/")
    (found,) = broker.receive(queue)
    assert json.loads(found.body)["data"] == LARGE
    assert found.attributes == {"colour": "blue"}
    assert broker.delete([Finish(found)]) == [True]
    assert bucket.names() == []


def test_what_fits_does_not_go_to_s3(broker: AwsBroker, queue: str, bucket: Bucket) -> None:
    publish("order.created", "x" * 250_000, broker=broker)
    broker.send(queue, [Message("b", "x" * 1_000_000)])
    assert bucket.names() == []
    found = broker.receive(queue, limit=2)
    assert sorted(len(one.body) > 900_000 for one in found) == [False, True]


def test_the_pointer_is_that_of_the_extended_client(
    broker: AwsBroker, queue: str, bucket: Bucket
) -> None:
    broker.send(queue, [Message("a", HUGE, most=broker.max_message_bytes)])
    given = body_on_sqs(broker, queue)
    kind, place = json.loads(given["Body"])
    assert kind == "software.amazon.payloadoffloading.PayloadS3Pointer"
    assert place == {"s3BucketName": bucket.name, "s3Key": bucket.names()[0]}
    size = given["MessageAttributes"]["ExtendedPayloadSize"]
    assert size == {"DataType": "Number", "StringValue": str(len(HUGE.encode()))}


@pytest.mark.parametrize(
    ("attribute", "kind"),
    [
        ("ExtendedPayloadSize", "software.amazon.payloadoffloading.PayloadS3Pointer"),
        ("SQSLargePayloadSize", "com.amazon.sqs.javamessaging.MessageS3Pointer"),
    ],
)
def test_a_message_of_the_extended_client_is_read_and_its_object_left(
    broker: AwsBroker, queue: str, bucket: Bucket, attribute: str, kind: str
) -> None:
    bucket.put("large/of-another-team", b"plain")
    broker.api.client("sqs").send_message(
        QueueUrl=broker._directory.url(queue),
        MessageBody=json.dumps(
            [kind, {"s3BucketName": bucket.name, "s3Key": "large/of-another-team"}]
        ),
        MessageAttributes={attribute: {"DataType": "Number", "StringValue": "5"}},
    )
    (found,) = broker.receive(queue)
    assert (found.body, found.attributes) == ("plain", {})
    broker.delete([Finish(found)])
    assert bucket.names() == ["large/of-another-team"]


def test_every_queue_of_a_topic_reads_it_and_the_last_removes_it(
    broker: AwsBroker, queue: str, bucket: Bucket
) -> None:
    broker.create_queue("audit")
    broker.subscribe("order.created", "audit")
    publish("order.created", LARGE, broker=broker)
    (one,), (other,) = broker.receive(queue), broker.receive("audit")
    assert one.body == other.body
    broker.delete([Finish(one)])
    assert len(bucket.names()) == 2, "the payload, and the first one's mark"
    broker.delete([Finish(other)])
    assert bucket.names() == []


def test_a_retry_keeps_it_and_a_dead_letter_takes_it_along_and_back(
    broker: AwsBroker, bucket: Bucket, clock: SharedClock
) -> None:
    seen: list[int] = []
    failures: list[Exception] = [ValueError("again"), Reject("never")]

    def handle(payload: str) -> None:
        seen.append(len(payload))
        if failures:
            raise failures.pop(0)

    registry = Registry()
    registry.subscribe("order.created", queue="work", retries=3)(handle)
    worker = Worker(broker, registry=registry)
    publish("order.created", LARGE, id="a", broker=broker)
    worker.step()
    clock.advance(60)
    worker.step()
    assert find_pointer(body_on_sqs(broker, "work-dlq")["Body"], {"ExtendedPayloadSize": ""})
    assert broker.redrive("work-dlq") == 1
    worker.step()
    assert seen == [len(LARGE)] * 3
    assert bucket.names() == []


def test_a_retry_beyond_twelve_hours_keeps_it(
    broker: AwsBroker, queue: str, bucket: Bucket, clock: SharedClock
) -> None:
    publish("order.created", LARGE, broker=broker)
    (found,) = broker.receive(queue)
    assert broker.change_visibility([(found, 50_000)]) == [True]
    clock.advance(50_000)
    (again,) = broker.receive(queue)
    assert again.body == found.body
    broker.delete([Finish(again)])
    assert bucket.names() == []


def test_the_body_of_a_fifo_message_decides_its_deduplication_not_the_pointer(
    broker: AwsBroker, bucket: Bucket
) -> None:
    broker.create_queue("work.fifo", QueueSettings(content_based_deduplication=True))
    for _ in range(2):
        broker.send("work.fifo", [Message("a", HUGE, group="g", most=broker.max_message_bytes)])
    assert [one.body for one in broker.receive("work.fifo", limit=10)] == [HUGE]


# ---- when it cannot be had -----------------------------------------------------------------------
def test_a_payload_that_is_gone_makes_a_dead_letter_that_says_so(
    broker: AwsBroker, queue: str, bucket: Bucket
) -> None:
    publish("order.created", LARGE, broker=broker)
    bucket.delete(bucket.names()[0])
    assert broker.receive(queue) == []
    (letter,) = broker.peek("work-dlq")
    record = json.loads(str(letter.attributes[FAILURE]))
    assert "s3:GetObject" in record["reason"]
    assert record["attempts"] == 1


def test_a_finished_event_needs_its_payload_no_more(
    broker: AwsBroker, queue: str, bucket: Bucket
) -> None:
    for _ in range(2):
        publish("order.created", LARGE, id="a", broker=broker)
    (first,) = broker.receive(queue)
    for key in bucket.names():
        bucket.delete(key)
    broker.delete([Finish(first, remember=1000)])
    (second,) = broker.receive(queue)
    assert broker.claim([second]) == ["finished"]


def test_while_s3_is_away_the_message_waits_and_no_attempt_is_lost(
    broker: AwsBroker,
    queue: str,
    bucket: Bucket,
    clock: SharedClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def away(bucket: str, key: str) -> bytes:
        raise BrokerUnavailable("S3 is away")

    publish("order.created", LARGE, broker=broker)
    monkeypatch.setattr(broker.api, "read_object", away)
    assert broker.receive(queue) == []
    assert "S3 is away" in caplog.text
    monkeypatch.undo()
    clock.advance(5)
    (found,) = broker.receive(queue)
    assert found.receive_count == 1


def test_a_payload_in_a_bucket_that_is_not_there_waits(
    broker: AwsBroker, queue: str, bucket: Bucket, clock: SharedClock
) -> None:
    publish("order.created", LARGE, broker=broker)
    for key in bucket.names():
        content = bucket.client.get_object(Bucket=bucket.name, Key=key)["Body"].read()
        bucket.delete(key)
    bucket.client.delete_bucket(Bucket=bucket.name)
    assert broker.receive(queue) == []
    bucket.client.create_bucket(Bucket=bucket.name)
    bucket.put(key, content)
    clock.advance(5)
    assert len(broker.receive(queue)) == 1


def test_a_payload_elsewhere_is_not_fetched(broker: AwsBroker, queue: str, bucket: Bucket) -> None:
    secret = Pointer("another-bucket", "secret")
    attributes = {"ExtendedPayloadSize": Attribute("Number", "5")}
    broker.send(queue, [Message("a", secret.body(), attributes)])
    assert broker.receive(queue) == []
    (letter,) = broker.peek("work-dlq")
    assert "s3://another-bucket/secret" in str(letter.attributes[FAILURE])


def test_what_begins_like_the_prefix_is_elsewhere(
    clock: SharedClock, moto: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", moto)
    with aws_broker(clock, f"{ADDRESS}&payloads=s3://{name}/team-a") as broker:
        bucket = Bucket(broker, name)
        bucket.put("team-ab/secret", b"5")
        broker.create_queue("work-dlq")
        broker.create_queue("work", QueueSettings(dead_letter_queue="work-dlq", max_receives=3))
        attributes = {"ExtendedPayloadSize": Attribute("Number", "1")}
        pointer = Pointer(name, "team-ab/secret")
        broker.send("work", [Message("a", pointer.body(), attributes)])
        assert broker.receive("work") == []
        (letter,) = broker.peek("work-dlq")
        assert f"below s3://{name}/team-a/" in str(letter.attributes[FAILURE])


def test_a_payload_that_no_longer_can_be_removed_is_left(
    broker: AwsBroker,
    queue: str,
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def away(*_: Any) -> None:
        raise BrokerUnavailable("S3 is away")

    publish("order.created", LARGE, broker=broker)
    (found,) = broker.receive(queue)
    monkeypatch.setattr(broker._payloads, "_call", away)
    assert broker.delete([Finish(found)]) == [True]
    assert "a payload stays: S3 is away" in caplog.text


def test_without_a_bucket_a_large_message_is_refused_and_one_in_s3_dead_lettered(
    clock: SharedClock,
) -> None:
    with aws_broker(clock) as plain:
        plain.create_topic("order.created")
        plain.create_queue("work-dlq")
        plain.create_queue("work", QueueSettings(dead_letter_queue="work-dlq", max_receives=3))
        with pytest.raises(LimitExceeded, match="bytes; 1048576 are allowed"):
            publish("order.created", HUGE, broker=plain)
        pointer = Pointer("bucket", "key")
        attributes = {"ExtendedPayloadSize": Attribute("Number", "5")}
        plain.send("work", [Message("a", pointer.body(), attributes)])
        assert plain.receive("work") == []
        (letter,) = plain.peek("work-dlq")
        assert "this broker reads none (payloads=s3://bucket)" in str(letter.attributes[FAILURE])


def test_only_what_is_a_pointer_is_taken_for_one() -> None:
    sized = {"ExtendedPayloadSize": "5"}
    pointer = Pointer("bucket", "a/b|c-for-3")
    assert find_pointer(pointer.body(), sized) == pointer
    assert find_pointer(pointer.body(), {}) is None
    for body in ("text", "[]", '["x", {}]', '["x", {"s3BucketName": "b", "s3Key": "k"}]'):
        assert find_pointer(body, sized) is None
    receipt = Receipt("m", 1.5, "handle|with|bars", pointer)
    assert read_receipt(receipt.write()) == receipt


# ---- Lambda -------------------------------------------------------------------------------------
def test_lambda_fetches_and_removes_it(
    broker: AwsBroker, bucket: Bucket, clock: SharedClock
) -> None:
    seen: list[Event[Any]] = []

    def handle(event: Event[Any]) -> None:
        seen.append(event)

    registry = Registry()
    registry.subscribe("order.created", queue="work", idempotent=False)(handle)
    Worker(broker, registry=registry)
    handler = lambda_handler("work", registry=registry, broker=broker)
    publish("order.created", LARGE, broker=broker)
    publish("order.created", {"small": 1}, broker=broker)
    source = Source(broker, "work")
    assert source.poll(handler, Given()) == []
    assert sorted(len(str(event.payload)) > 100 for event in seen) == [False, True]
    assert bucket.names() == []
    publish("order.created", LARGE, broker=broker)
    bucket.delete(bucket.names()[0])
    assert len(source.poll(handler, Given())) == 1
    assert "s3:GetObject" in str(broker.peek("work-dlq")[0].attributes[FAILURE])


# ---- what a hostile or unlucky message may do ---------------------------------------------------
@pytest.mark.parametrize("key", ["backups/dump-for-1", "large/backup-for-1", "elsewhere/x"])
def test_nothing_is_read_below_another_prefix_nor_removed_that_is_not_ours(
    broker: AwsBroker, queue: str, bucket: Bucket, key: str
) -> None:
    bucket.put(key, b"precious")
    attributes = {"ExtendedPayloadSize": Attribute("Number", "8")}
    broker.send(queue, [Message("a", Pointer(bucket.name, key).body(), attributes)])
    found = broker.receive(queue)
    assert [one.body for one in found] == (["precious"] if key.startswith("large/") else [])
    broker.delete([Finish(one) for one in found])
    assert key in bucket.names()


def test_a_group_waits_for_a_payload_that_is_late(
    broker: AwsBroker, bucket: Bucket, clock: SharedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> bytes:
        raise BrokerUnavailable("S3 is away")

    broker.create_queue("work.fifo", QueueSettings(content_based_deduplication=True))
    for id, group, body in (("1", "g", HUGE), ("2", "g", "x"), ("3", "h", "y")):
        most = broker.max_message_bytes
        broker.send("work.fifo", [Message(id, body, group=group, most=most)])
    monkeypatch.setattr(broker.api, "read_object", away)
    assert [one.id for one in broker.receive("work.fifo", limit=10)] == ["3"]
    monkeypatch.undo()
    clock.advance(6)
    found = broker.receive("work.fifo", limit=10)
    assert [(one.id, one.receive_count) for one in found] == [("1", 1), ("2", 1)]


@pytest.mark.parametrize(
    "code", ["RequestTimeTooSkewed", "KMS.ThrottlingException", "InvalidObjectState", "SlowDown"]
)
def test_what_may_pass_is_waited_for(broker: AwsBroker, code: str) -> None:
    error = ClientError({"Error": {"Code": code, "Message": "no"}}, "GetObject")
    assert isinstance(_translate(error, "s3", "s3:GetObject", "b/k", "s3"), BrokerUnavailable)


def test_records_that_are_away_do_not_lose_the_others(
    broker: AwsBroker,
    queue: str,
    bucket: Bucket,
    clock: SharedClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(*_: Any) -> Any:
        raise BrokerUnavailable("DynamoDB is away")

    publish("order.created", LARGE, id="gone", broker=broker)
    publish("order.created", "small", id="here", broker=broker)
    bucket.delete(bucket.names()[0])
    monkeypatch.setattr(broker._records, "finished", away)
    assert [one.id for one in broker.receive(queue, limit=10)] == ["here"]
    monkeypatch.undo()
    clock.advance(5)
    assert broker.receive(queue, limit=10) == []
    assert [one.id for one in broker.peek("work-dlq")] == ["gone"]


def test_a_message_just_below_the_limit_goes_to_s3_with_what_comes_on_top(
    broker: AwsBroker, queue: str, bucket: Bucket
) -> None:
    broker.send(queue, [Message("a", "x" * (1_048_576 - 5))])
    assert len(bucket.names()) == 1
    (found,) = broker.receive(queue)
    assert len(found.body) == 1_048_576 - 5


def test_too_many_attributes_are_refused_before_anything_is_stored(
    broker: AwsBroker, queue: str, bucket: Bucket
) -> None:
    with pytest.raises(LimitExceeded, match="8 are allowed on AWS with a payload in S3"):
        publish("order.created", LARGE, broker=broker, attributes={str(n): "x" for n in range(9)})
    assert bucket.names() == []


def test_who_reads_dead_letters_is_done_with_them_for_their_queue(
    broker: AwsBroker, queue: str, bucket: Bucket
) -> None:
    broker.create_queue("audit")
    broker.subscribe("order.created", "audit")
    publish("order.created", LARGE, broker=broker)
    (found,) = broker.receive(queue)
    broker.dead_letter([(found, "{}")])
    (letter,) = broker.receive("work-dlq")
    broker.delete([Finish(letter)])
    assert [key.rpartition("/")[2] for key in bucket.names()][1:] == ["work"]
    (other,) = broker.receive("audit")
    assert len(other.body) > len(LARGE)
    broker.delete([Finish(other)])
    assert bucket.names() == []


@pytest.mark.slow
def test_payloads_are_fetched_side_by_side_and_leases_extended_meanwhile(
    broker: AwsBroker,
    queue: str,
    bucket: Bucket,
    clock: SharedClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def slow(*place: str) -> bytes:
        if together.wait(20) == 0:
            clock.advance(20)
        together.wait(20)
        return read(*place)

    together = threading.Barrier(3)
    read = broker.api.read_object
    for n in range(3):
        publish("order.created", LARGE, id=str(n), broker=broker)
    monkeypatch.setattr(broker.api, "read_object", slow)
    found = broker.receive(queue, limit=10)
    assert len(found) == 3
    assert {one.visible_at for one in found} == {clock.now() + 30}
