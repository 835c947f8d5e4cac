"""Handlers in AWS Lambda: real event shapes, and a broker over the wire server beside it."""

import asyncio
import json
import logging
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from taskflow import Event, Registry, Reject, Retry, RetryPolicy, publish
from taskflow.aws.handler import INTERRUPT_SOON, MARGIN, LambdaHandler, lambda_handler
from taskflow.brokers.aws.broker import AwsBroker
from taskflow.clock import Clock
from taskflow.errors import BrokerUnavailable, ConfigError, QueueNotFound
from taskflow.event import Context
from taskflow.middleware import Run
from taskflow.retry import Outcome
from taskflow.testing import ManualClock
from taskflow.topology import declare
from taskflow.uninterrupted import uninterrupted
from tests.contract.wire import SharedClock, aws_broker
from tests.taskflow.making import FIXED, cloud_event, failure

NOW = 1545082649.2
Make = Callable[..., LambdaHandler]


class Given:
    """The context of an invocation: so many milliseconds are left."""

    def __init__(self, milliseconds: int = 30_000) -> None:
        self.milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


def record(
    body: Any = None,
    id: str = "059f36b4-87a3-44ab-83d2-661975830a7d",
    queue: str = "work",
    attributes: dict[str, Any] | None = None,
    **system: str,
) -> dict[str, Any]:
    """One record, with every member that AWS sends."""
    if not isinstance(body, str):
        body = json.dumps(cloud_event(id=id) if body is None else body)
    return {
        "messageId": id,
        "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a...",
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1545082640183",
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": "1545082649185",
            **system,
        },
        "messageAttributes": attributes or {},
        "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:us-east-2:123456789012:{queue}",
        "awsRegion": "us-east-2",
    }


def in_group(group: str, number: int, body: Any = None) -> dict[str, Any]:
    return record(
        body,
        f"{group}{number}",
        "work.fifo",
        MessageGroupId=group,
        MessageDeduplicationId=f"{group}{number}",
        SequenceNumber=f"1884949648553317580{number}",
    )


def batch(*records: dict[str, Any]) -> dict[str, Any]:
    return {"Records": list(records)}


def failures(answer: dict[str, Any]) -> list[str]:
    assert list(answer) == ["batchItemFailures"]
    return [one["itemIdentifier"] for one in answer["batchItemFailures"]]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def make(taskflow_registry: Registry, clock: ManualClock) -> Iterator[Make]:
    made: list[LambdaHandler] = []

    def make(queue: str = "work", clock: Clock | None = clock, **options: Any) -> LambdaHandler:
        made.append(lambda_handler(queue, registry=taskflow_registry, clock=clock, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


class Seen(list[Event[Any]]):
    """A handler that keeps its events, and fails for some ids."""

    def __init__(self, **errors: BaseException) -> None:
        self.errors = errors

    def __call__(self, event: Event[Any]) -> None:
        self.append(event)
        if event.id in self.errors:
            raise self.errors[event.id]

    @property
    def ids(self) -> list[str]:
        return [event.id for event in self]


# ---- without a broker ---------------------------------------------------------------------------
def test_a_batch_that_went_well_has_no_failures(taskflow_registry: Registry, make: Make) -> None:
    seen = taskflow_registry.subscribe("made", queue="work")(Seen())
    assert make()(batch(record(id="a"), record(id="b")), Given()) == {"batchItemFailures": []}
    assert seen.ids == ["a", "b"]


def test_the_event_is_what_a_worker_would_see(taskflow_registry: Registry, make: Make) -> None:
    seen = taskflow_registry.subscribe("made", queue="work")(Seen())
    attributes = {
        "shop": {
            "stringValue": "7",
            "stringListValues": [],
            "binaryListValues": [],
            "dataType": "String",
        },
        "size": {"stringValue": "9", "dataType": "Number"},
        "mark": {"binaryValue": b64encode(b"\x00\xff").decode(), "dataType": "Binary"},
    }
    body = cloud_event(id="e7", data={"n": 1}, time="2018-12-17T21:37:20Z")
    make()(
        batch(record(body, attributes=attributes, ApproximateReceiveCount="2", MessageGroupId="g")),
        Given(),
    )
    (event,) = seen
    assert (event.id, event.topic, event.payload) == ("e7", "made", {"n": 1})
    assert (event.time, event.attempt, event.group) == (1545082640.0, 2, "g")
    assert event.attributes == {"shop": "7", "size": "9", "mark": "AP8="}


def test_what_taskflow_sent_says_more_of_itself(taskflow_registry: Registry, make: Make) -> None:
    seen = taskflow_registry.subscribe("made", queue="work", raw=True)(Seen())
    carried = json.dumps({"id": "e9", "topic": "made", "sent": 1545000000.0, "attempts": 3})
    attributes = {"taskflow": {"stringValue": carried, "dataType": "String"}}
    make()(batch(record("{}", attributes=attributes)), Given())
    (event,) = seen
    assert (event.id, event.topic, event.time) == ("e9", "made", 1545000000.0)
    assert (event.attempt, event.attributes) == (4, {})


def test_receives_before_it_was_due_are_no_attempts(
    taskflow_registry: Registry, make: Make, clock: ManualClock
) -> None:
    seen = taskflow_registry.subscribe("made", queue="work")(Seen())
    carried = json.dumps({"id": "e1", "topic": "made", "due": NOW + 100})
    attributes = {"taskflow": {"stringValue": carried, "dataType": "String"}}
    assert failures(make()(batch(record(id="a", attributes=attributes)), Given())) == ["a"]
    assert seen == []
    clock.advance(101)
    again = record(id="a", attributes=attributes, ApproximateReceiveCount="2")
    assert failures(make()(batch(again), Given())) == []
    assert [event.attempt for event in seen] == [1]


def test_an_s3_event_goes_to_a_raw_handler(taskflow_registry: Registry, make: Make) -> None:
    seen = taskflow_registry.subscribe("files", queue="work", raw=True)(Seen())
    body = {"Records": [{"eventSource": "aws:s3", "s3": {"object": {"key": "cat.jpg"}}}]}
    assert failures(make()(batch(record(body, "m1")), Given())) == []
    (event,) = seen
    assert (event.id, event.topic, event.payload) == ("m1", "files", body)
    assert event.time == 1545082640.183


@pytest.mark.parametrize(
    "error",
    [ValueError("no"), Retry(after=5), Reject("never"), SystemExit(1)],
    ids=["error", "retry", "reject", "exit"],
)
def test_only_what_failed_comes_back(
    taskflow_registry: Registry, make: Make, error: BaseException
) -> None:
    seen = taskflow_registry.subscribe("made", queue="work", retries=1)(Seen(b=error))
    answer = make()(batch(record(id="a"), record(id="b"), record(id="c")), Given())
    assert failures(answer) == ["b"]
    assert seen.ids == ["a", "b", "c"]


def test_what_is_worn_out_is_left_to_the_redrive_policy(
    taskflow_registry: Registry, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    seen = taskflow_registry.subscribe("made", queue="work", retries=1)(Seen())
    answer = make()(batch(record(id="a", ApproximateReceiveCount="3")), Given())
    assert failures(answer) == ["a"]
    assert seen == [], "it had its attempts"
    assert "is left to the redrive policy of its queue: started 2 times" in caplog.text


def test_a_body_without_envelope_is_refused(
    taskflow_registry: Registry, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    taskflow_registry.subscribe("made", queue="work")(Seen())
    assert failures(make()(batch(record("hello", "a")), Given())) == ["a"]
    assert "raw=True) takes a body as it is" in caplog.text


def test_middleware_is_around_every_run(taskflow_registry: Registry, make: Make) -> None:
    taskflow_registry.subscribe("made", queue="work")(Seen())
    calls: list[str] = []

    def named(name: str) -> Callable[[Context, Run], Outcome]:
        def around(context: Context, run: Run) -> Outcome:
            calls.append(name)
            return run(context)

        return around

    taskflow_registry.use(named("registry"))
    make(middleware=[named("own")])(batch(record()), Given())
    assert calls == ["registry", "own"]


def test_async_handlers_share_one_loop(taskflow_registry: Registry, make: Make) -> None:

    loops = []

    async def handle(event: Event[Any]) -> None:
        loops.append(asyncio.get_running_loop())

    taskflow_registry.subscribe("made", queue="work")(handle)
    handler = make()
    for id in "ab":
        assert failures(handler(batch(record(id=id)), Given())) == []
    assert len(loops) == 2
    assert loops[0] is loops[1]


# ---- order --------------------------------------------------------------------------------------
def test_a_failure_stops_its_group_and_no_other(taskflow_registry: Registry, make: Make) -> None:
    seen = taskflow_registry.subscribe("made.fifo", queue="work.fifo")(Seen(x1=ValueError()))

    def one(group: str, number: int) -> dict[str, Any]:
        return in_group(group, number, cloud_event(id=f"{group}{number}", type="made.fifo"))

    answer = make("work.fifo")(
        batch(one("x", 0), one("x", 1), one("y", 1), one("x", 2), one("y", 2), one("x", 3)),
        Given(),
    )
    assert failures(answer) == ["x1", "x2", "x3"]
    assert seen.ids == ["x0", "x1", "y1", "y2"]


def test_on_a_standard_queue_groups_have_no_order(taskflow_registry: Registry, make: Make) -> None:
    seen = taskflow_registry.subscribe("made", queue="work")(Seen(a=ValueError()))
    records = [record(id=id, MessageGroupId="g") for id in "ab"]
    assert failures(make()(batch(*records), Given())) == ["a"]
    assert seen.ids == ["a", "b"]


# ---- time ---------------------------------------------------------------------------------------
def test_without_time_nothing_is_started(
    taskflow_registry: Registry, make: Make, clock: ManualClock
) -> None:
    def slow(event: Event[Any]) -> None:
        ran.append(event.id)
        clock.advance(5)

    ran: list[str] = []
    taskflow_registry.subscribe("made", queue="work")(slow)
    records = [record(id=id) for id in "abcd"]
    answer = make()(batch(*records), Given(int(1000 * (10 + MARGIN))))
    assert ran == ["a", "b"]
    assert failures(answer) == ["c", "d"]


@pytest.mark.parametrize("timeout", [None, 300, 4])
@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_run_ends_in_time(
    taskflow_registry: Registry,
    make: Make,
    clock: ManualClock,
    caplog: pytest.LogCaptureFixture,
    timeout: float | None,
    kind: str,
) -> None:
    deadlines: list[float | None] = []

    def spin(event: Event[Any], context: Context) -> None:
        deadlines.append(context.deadline)
        clock.wait_until_parked()
        clock.advance(9)
        while True:
            pass

    async def hang(event: Event[Any], context: Context) -> None:

        deadlines.append(context.deadline)
        clock.wait_until_parked()
        clock.advance(9)
        await asyncio.Event().wait()

    handler = spin if kind == "def" else hang
    taskflow_registry.subscribe("made", queue="work", timeout=timeout)(handler)
    caplog.set_level(logging.WARNING)
    assert failures(make()(batch(record(id="a")), Given(int(1000 * (9 + MARGIN))))) == ["a"]
    if timeout == 4:
        assert deadlines == [NOW + 4]
        assert "HandlerTimeout: ran longer than its timeout of 4 s" in caplog.text
    else:
        assert deadlines == [pytest.approx(NOW + 9)]
        assert "HandlerTimeout: had 9.0 s until the Lambda function's time was up" in caplog.text


def test_a_run_past_its_time_ends_the_step_of_a_store_that_it_is_in(
    taskflow_registry: Registry, make: Make, clock: ManualClock
) -> None:
    did: list[str] = []

    @uninterrupted
    def step() -> None:
        clock.wait_until_parked()
        clock.advance(4)
        clock.wait_until_parked()  # what watches the limit has looked, and looks again soon
        did.append("the step")

    @taskflow_registry.subscribe("made", queue="work", timeout=4)
    def late(event: Event[Any]) -> None:
        step()
        clock.advance(INTERRUPT_SOON)
        while True:
            pass

    assert failures(make()(batch(record(id="a")), Given(60_000))) == ["a"]
    assert did == ["the step"]


# ---- bad input ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"key1": "value1"}, "the Lambda event has no Records"),
        ([], "the Lambda event has no Records"),
        (batch({"eventSource": "aws:s3"}), "the event source is 'aws:s3', not aws:sqs"),
        (
            batch(record(queue="mails")),
            "the messages are from queue 'mails', this function is for 'work'",
        ),
    ],
)
def test_an_event_that_is_no_batch_is_refused(
    taskflow_registry: Registry, make: Make, event: Any, message: str
) -> None:
    taskflow_registry.subscribe("made", queue="work")(Seen())
    with pytest.raises(ConfigError, match=message):
        make()(event, Given())


def test_a_queue_may_have_a_prefix_on_aws(taskflow_registry: Registry, make: Make) -> None:
    seen = taskflow_registry.subscribe("made", queue="work")(Seen())
    make()(batch(record(queue="staging-work")), Given())
    assert len(seen) == 1


def test_a_queue_without_handler_is_refused(taskflow_registry: Registry) -> None:
    taskflow_registry.subscribe("made", queue="work")(Seen())
    with pytest.raises(QueueNotFound, match="did you mean 'work'"):
        lambda_handler("wrok", registry=taskflow_registry)


# ---- with the AWS broker ------------------------------------------------------------------------
@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> SharedClock:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "TF1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    return SharedClock(1000.0)


@pytest.fixture
def broker(shared: SharedClock) -> Iterator[AwsBroker]:
    with aws_broker(shared) as opened:
        yield opened


class Source:
    """Lambda's event source: receives with SQS's own API, calls the function, and deletes what it
    does not answer as failed."""

    def __init__(self, broker: AwsBroker, queue: str) -> None:
        self.sqs = broker.api.client("sqs")
        self.queue = queue
        self.url = self.sqs.get_queue_url(QueueName=queue)["QueueUrl"]

    def poll(self, handler: LambdaHandler, given: Given | None = None) -> list[str]:
        """One batch; answers the event ids of the failures."""
        answer = self.sqs.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=10,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        messages = answer.get("Messages", [])
        if not messages:
            return []
        records = [
            record(one["Body"], one["MessageId"], self.queue)
            | {
                "receiptHandle": one["ReceiptHandle"],
                "attributes": one["Attributes"],
                "messageAttributes": {
                    name: {"stringValue": value["StringValue"], "dataType": value["DataType"]}
                    for name, value in one.get("MessageAttributes", {}).items()
                },
            }
            for one in messages
        ]
        failed = failures(handler(batch(*records), given or Given()))
        for one in messages:
            if one["MessageId"] not in failed:
                with suppress(self.sqs.exceptions.ClientError):
                    self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=one["ReceiptHandle"])
        ours = [one["MessageAttributes"] for one in messages if one["MessageId"] in failed]
        return [json.loads(one["taskflow"]["StringValue"])["id"] for one in ours]


@pytest.fixture
def source(
    taskflow_registry: Registry, broker: AwsBroker, make: Make
) -> Callable[..., tuple[Source, LambdaHandler]]:
    def source(seen: Any, **options: Any) -> tuple[Source, LambdaHandler]:
        queue = options.setdefault("queue", "work")
        topic = "made.fifo" if queue.endswith(".fifo") else "made"
        taskflow_registry.subscribe(topic, **{"policy": FIXED, **options})(seen)
        declare(broker, taskflow_registry)
        return Source(broker, queue), make(queue, broker=broker)

    return source


Start = Callable[..., tuple[Source, LambdaHandler]]


def test_a_retry_waits_for_its_backoff(
    source: Start, broker: AwsBroker, shared: SharedClock
) -> None:
    seen = Seen(a=ValueError("no"))
    queue, handler = source(seen)
    publish("made", {}, id="a", broker=broker)
    for wait in (1.0, 2.0):
        assert queue.poll(handler) == ["a"]
        shared.advance(wait - 0.5)
        assert queue.poll(handler) == []
        shared.advance(0.5)
    assert queue.poll(handler) == [], "it is buried, Lambda has nothing to bring back"
    assert [event.attempt for event in seen] == [1, 2, 3]
    (letter,) = broker.peek("work-dlq")
    assert letter.id == "a"
    assert failure(broker)["reason"] == "failed 3 times"
    assert failure(broker)["attempts"] == 3
    assert broker.counts("work").in_flight == 0


def test_reject_is_a_dead_letter_at_once(source: Start, broker: AwsBroker) -> None:
    queue, handler = source(Seen(a=Reject("fraud")))
    for id in "ab":
        publish("made", {}, id=id, broker=broker)
    assert queue.poll(handler) == []
    assert failure(broker)["reason"] == "fraud"
    assert broker.counts("work").visible + broker.counts("work").in_flight == 0


def test_what_was_finished_is_not_run_again(source: Start, broker: AwsBroker) -> None:
    seen = Seen()
    queue, handler = source(seen)
    for _ in range(2):
        publish("made", {}, id="a", broker=broker)
        assert queue.poll(handler) == []
    assert seen.ids == ["a"]


def test_a_handler_that_is_not_idempotent_runs_again(source: Start, broker: AwsBroker) -> None:
    seen = Seen()
    queue, handler = source(seen, idempotent=False)
    for _ in range(2):
        publish("made", {}, id="a", broker=broker)
        assert queue.poll(handler) == []
    assert seen.ids == ["a", "a"]


def test_a_group_goes_on_in_order_after_a_retry(
    source: Start, broker: AwsBroker, shared: SharedClock
) -> None:
    seen = Seen(a=ValueError("no"))
    queue, handler = source(seen, queue="work.fifo")
    for id in "abc":
        publish("made.fifo", {}, id=id, group="g", broker=broker)
    assert queue.poll(handler) == ["a", "b", "c"]
    assert queue.poll(handler) == [], "its first one hides the group"
    shared.advance(1)
    seen.errors.clear()
    assert queue.poll(handler) == []
    assert seen.ids == ["a", "a", "b", "c"]


def test_a_dead_letter_lets_its_group_go_on(source: Start, broker: AwsBroker) -> None:
    seen = Seen(a=Reject("fraud"))
    queue, handler = source(seen, queue="work.fifo")
    for id in "ab":
        publish("made.fifo", {}, id=id, group="g", broker=broker)
    assert queue.poll(handler) == []
    assert seen.ids == ["a", "b"]
    assert [one.id for one in broker.peek("work-dlq.fifo")] == ["a"]


def test_what_was_not_started_is_given_back_at_once(
    source: Start, broker: AwsBroker, shared: SharedClock
) -> None:
    def slow(event: Event[Any]) -> None:
        ran.append(event.id)
        shared.advance(5)

    ran: list[str] = []
    queue, handler = source(slow)
    for id in "abc":
        publish("made", {}, id=id, broker=broker)
    assert len(queue.poll(handler, Given(int(1000 * (4 + MARGIN))))) == 2
    assert len(ran) == 1
    assert broker.counts("work").visible == 2


def test_a_retry_past_the_retention_is_a_dead_letter(source: Start, broker: AwsBroker) -> None:
    week = RetryPolicy(retries=2, backoff=7 * 86400, maximum=7 * 86400, jitter=False)
    queue, handler = source(Seen(a=ValueError("no")), policy=week)
    publish("made", {}, id="a", broker=broker)
    assert queue.poll(handler) == []
    assert "would pass the retention of queue 'work'" in failure(broker)["reason"]


@pytest.mark.parametrize(
    ("verb", "error", "failed", "message"),
    [
        ("change_visibility", ValueError("no"), ["a"], "when its visibility timeout ends, not aft"),
        ("dead_letter", Reject("fraud"), ["a"], "left to the redrive policy of its queue: fraud;"),
        ("delete", None, [], "1 finished events are not remembered"),
        ("settings", ValueError("no"), ["a"], "the retention of queue work is not known"),
    ],
)
def test_a_broker_that_fails_is_told_and_loses_nothing(
    source: Start,
    broker: AwsBroker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    verb: str,
    error: BaseException | None,
    failed: list[str],
    message: str,
) -> None:
    queue, handler = source(Seen(**({} if error is None else {"a": error})))
    publish("made", {}, id="a", broker=broker)

    def away(*arguments: Any) -> Any:
        raise BrokerUnavailable("SQS is away")

    monkeypatch.setattr(broker, verb, away)
    assert queue.poll(handler) == failed
    assert message in caplog.text
    monkeypatch.undo()


def test_without_the_record_of_what_is_finished_nothing_runs(
    source: Start, broker: AwsBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Seen()
    queue, handler = source(seen)
    publish("made", {}, id="a", broker=broker)

    def away(*arguments: Any) -> Any:
        raise BrokerUnavailable("DynamoDB is away")

    monkeypatch.setattr(broker, "claim", away)
    with pytest.raises(BrokerUnavailable):
        queue.poll(handler)
    assert seen == []


@pytest.mark.slow
def test_it_needs_no_boto3() -> None:
    program = "import sys, taskflow.aws; print(sorted({'boto3', 'botocore'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
