"""Message move tasks over the wire: start, watch, cancel, refuse."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import pytest

from taskflow.broker import Broker
from taskflow.testing import ManualClock

Make = Callable[..., str]
Refused = Callable[..., tuple[str, str, str]]
Query = Callable[..., Any]

ARN = "arn:aws:sqs:us-east-1:000000000000:"
DEAD = f"{ARN}dead"


def invalid(text: str) -> tuple[str, str, str]:
    return "InvalidParameterValue", "InvalidParameterValueException", text


def missing(parameter: str) -> tuple[str, str, str]:
    text = f"The resource that you specified for the {parameter} parameter doesn't exist."
    return "ResourceNotFoundException", "ResourceNotFoundException", text


@pytest.fixture
def fill(sqs: Any, make_queue: Make, taskflow_clock: ManualClock) -> Callable[..., None]:
    """Make queues that share the DLQ `dead`, and let so many messages of each die."""

    def fill(**counts: int) -> None:
        make_queue("dead")
        policy = json.dumps({"deadLetterTargetArn": DEAD, "maxReceiveCount": 1})
        for name, count in counts.items():
            url = make_queue(name, RedrivePolicy=policy)
            for number in range(count):
                sqs.send_message(QueueUrl=url, MessageBody=f"{name}-{number}")
            for _ in range(2):
                sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
                taskflow_clock.advance(30)

    return fill


Fill = Callable[..., None]


@pytest.fixture
def read(sqs: Any) -> Callable[[str], list[str]]:
    """The bodies a queue has now, sorted."""

    def read(name: str) -> list[str]:
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        return sorted(one["Body"] for one in found.get("Messages", []))

    return read


Read = Callable[[str], list[str]]


@pytest.fixture
def show(sqs: Any) -> Callable[..., list[Any]]:
    """The tasks of `dead`, newest first."""

    def show(**more: int) -> list[Any]:
        return list(sqs.list_message_move_tasks(SourceArn=DEAD, **more).get("Results", []))

    return show


Show = Callable[..., list[Any]]


# ---- what is moved ------------------------------------------------------------------------------
def test_each_message_goes_back_to_its_own_source(
    sqs: Any, fill: Fill, read: Read, show: Show, taskflow_broker: Broker
) -> None:
    fill(one=2, two=1)
    assert show() == []
    handle = sqs.start_message_move_task(SourceArn=DEAD)["TaskHandle"]
    task = {
        "SourceArn": DEAD,
        "ApproximateNumberOfMessagesMoved": 0,
        "ApproximateNumberOfMessagesToMove": 3,
        "StartedTimestamp": 1_800_000_120_000,
    }
    assert show() == [{**task, "Status": "RUNNING", "TaskHandle": handle}]
    assert taskflow_broker.step_moves() is False
    task["ApproximateNumberOfMessagesMoved"] = 3
    assert show() == [{**task, "Status": "COMPLETED"}]
    assert (read("one"), read("two"), read("dead")) == (["one-0", "one-1"], ["two-0"], [])


def test_all_may_go_to_one_destination(
    sqs: Any, make_queue: Make, fill: Fill, read: Read, show: Show, taskflow_broker: Broker
) -> None:
    fill(one=1, two=1)
    make_queue("other")
    sqs.start_message_move_task(SourceArn=DEAD, DestinationArn=f"{ARN}other")
    taskflow_broker.step_moves()
    assert show()[0]["DestinationArn"] == f"{ARN}other"
    assert read("other") == ["one-0", "two-0"]


def test_a_move_starts_a_message_anew(
    sqs: Any, fill: Fill, taskflow_broker: Broker, taskflow_clock: ManualClock
) -> None:
    fill(one=1)
    sqs.start_message_move_task(SourceArn=DEAD)
    taskflow_broker.step_moves()
    url = sqs.get_queue_url(QueueName="one")["QueueUrl"]
    names = {"AttributeNames": ["All"], "MessageAttributeNames": ["All"]}
    (found,) = sqs.receive_message(QueueUrl=url, **names)["Messages"]
    assert found["Attributes"]["ApproximateReceiveCount"] == "1"
    assert "DeadLetterQueueSourceArn" not in found["Attributes"]
    assert "MessageAttributes" not in found


def test_a_rate_is_kept_and_shown(
    sqs: Any, fill: Fill, show: Show, taskflow_broker: Broker, taskflow_clock: ManualClock
) -> None:
    fill(one=5)
    sqs.start_message_move_task(SourceArn=DEAD, MaxNumberOfMessagesPerSecond=1)
    for moved in (1, 2, 3):
        taskflow_broker.step_moves()
        (task,) = show()
        assert task["ApproximateNumberOfMessagesMoved"] == moved
        assert task["MaxNumberOfMessagesPerSecond"] == 1
        taskflow_clock.advance(1)


def test_a_task_is_cancelled(
    sqs: Any, fill: Fill, read: Read, show: Show, refused: Refused, taskflow_broker: Broker
) -> None:
    fill(one=3)
    handle = sqs.start_message_move_task(SourceArn=DEAD, MaxNumberOfMessagesPerSecond=1)[
        "TaskHandle"
    ]
    taskflow_broker.step_moves()
    answer = sqs.cancel_message_move_task(TaskHandle=handle)
    assert answer["ApproximateNumberOfMessagesMoved"] == 1
    taskflow_broker.step_moves()
    (task,) = show()
    assert (task["Status"], "TaskHandle" in task) == ("CANCELLED", False)
    assert read("one") == ["one-0"]
    answer = refused(sqs.cancel_message_move_task, TaskHandle=handle)
    text = "Task does not exist."
    assert answer == ("ResourceNotFoundException", "ResourceNotFoundException", text)


def test_a_destination_that_goes_away_fails_the_task(
    sqs: Any, make_queue: Make, fill: Fill, show: Show, taskflow_broker: Broker
) -> None:
    fill(one=1)
    url = make_queue("other")
    sqs.start_message_move_task(SourceArn=DEAD, DestinationArn=f"{ARN}other")
    sqs.delete_queue(QueueUrl=url)
    taskflow_broker.step_moves()
    (task,) = show()
    assert task["Status"] == "FAILED"
    assert task["FailureReason"] == "AWS.SimpleQueueService.NonExistentQueue"


def test_tasks_are_listed_newest_first(
    sqs: Any,
    fill: Fill,
    show: Show,
    refused: Refused,
    taskflow_broker: Broker,
    taskflow_clock: ManualClock,
) -> None:
    fill(one=1)
    for _ in range(3):
        sqs.start_message_move_task(SourceArn=DEAD)
        taskflow_broker.step_moves()
        taskflow_clock.advance(1)
    started = [task["StartedTimestamp"] for task in show(MaxResults=10)]
    assert started == sorted(started, reverse=True)
    assert len(started) == 3
    assert [task["StartedTimestamp"] for task in show()] == started[:1]
    for most in (0, 11):
        answer = refused(sqs.list_message_move_tasks, SourceArn=DEAD, MaxResults=most)
        assert answer[0] == "InvalidParameterValue"


# ---- refused ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("params", "answer"),
    [
        (
            {"SourceArn": f"{ARN}one"},
            invalid("Source queue must be configured as a Dead Letter Queue."),
        ),
        ({"SourceArn": f"{ARN}nothing"}, missing("SourceArn")),
        ({"SourceArn": "nothing"}, missing("SourceArn")),
        ({"SourceArn": DEAD, "DestinationArn": f"{ARN}nothing"}, missing("DestinationArn")),
        (
            {"SourceArn": DEAD, "DestinationArn": f"{ARN}other.fifo"},
            invalid("Source and destination must both be FIFO queues, or both standard queues."),
        ),
        *(
            (
                {"SourceArn": DEAD, "MaxNumberOfMessagesPerSecond": rate},
                invalid(
                    f"Value {rate} for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: "
                    "Must be between 1 and 500, if provided."
                ),
            )
            for rate in (0, 501)
        ),
    ],
)
def test_a_task_that_is_refused(
    sqs: Any, make_queue: Make, fill: Fill, refused: Refused, params: dict[str, Any], answer: Any
) -> None:
    fill(one=1)
    make_queue("other.fifo")
    assert refused(sqs.start_message_move_task, **params) == answer


def test_a_second_task_waits_for_the_first_to_end(
    sqs: Any, fill: Fill, refused: Refused, taskflow_broker: Broker
) -> None:
    fill(one=1)
    sqs.start_message_move_task(SourceArn=DEAD)
    assert refused(sqs.start_message_move_task, SourceArn=DEAD) == invalid(
        "There is already a task running. Only one active task is allowed for a source queue arn "
        "at a given time."
    )
    taskflow_broker.step_moves()
    sqs.start_message_move_task(SourceArn=DEAD)


def token(**parts: object) -> str:
    return urlsafe_b64encode(json.dumps(parts).encode()).decode()


@pytest.mark.parametrize(
    ("handle", "answer"),
    [
        ("foobared", invalid("Value for parameter TaskHandle is invalid.")),
        ("é", invalid("Value for parameter TaskHandle is invalid.")),
        (token(taskId="id"), invalid("Value for parameter TaskHandle is invalid.")),
        (token(taskId=1, sourceArn=DEAD), invalid("Value for parameter TaskHandle is invalid.")),
        (token(taskId="id", sourceArn=f"{ARN}nothing"), missing("SourceArn")),
        (
            token(taskId="id", sourceArn=DEAD),
            ("ResourceNotFoundException", "ResourceNotFoundException", "Task does not exist."),
        ),
    ],
)
def test_a_bad_handle(
    sqs: Any, make_queue: Make, refused: Refused, handle: str, answer: Any
) -> None:
    make_queue("dead")
    assert refused(sqs.cancel_message_move_task, TaskHandle=handle) == answer


def test_what_does_not_exist_is_a_404_in_both_protocols(sqs: Any, query: Query) -> None:
    with pytest.raises(sqs.exceptions.ResourceNotFoundException) as caught:
        sqs.list_message_move_tasks(SourceArn=DEAD)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    answer = query("ListMessageMoveTasks", SourceArn=DEAD)
    assert (answer.status, answer.xml["Code"]) == (404, "ResourceNotFoundException")
