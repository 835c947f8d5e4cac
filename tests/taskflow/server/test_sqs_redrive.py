"""Dead-letter queues over the wire: redrive policies, who allows whom, what a dead letter is."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from taskflow.testing import ManualClock

Make = Callable[..., str]
Refused = Callable[..., tuple[str, str, str]]

ARN = "arn:aws:sqs:us-east-1:000000000000:"


def redrive(queue: str = "dead", count: object = 1) -> str:
    return json.dumps({"deadLetterTargetArn": ARN + queue, "maxReceiveCount": count})


@pytest.fixture
def take(sqs: Any) -> Callable[..., list[Any]]:
    """Receive with all attributes; [] for nothing."""

    def take(url: str, **more: Any) -> list[Any]:
        names = {"AttributeNames": ["All"], "MessageAttributeNames": ["All"]}
        return list(sqs.receive_message(QueueUrl=url, **names, **more).get("Messages", []))

    return take


Take = Callable[..., list[Any]]


# ---- what becomes a dead letter -----------------------------------------------------------------
@pytest.mark.parametrize(("count", "receives"), [(1, 1), (3, 3), ("2", 2)])
def test_a_message_moves_on_the_receive_after_the_last_allowed(
    sqs: Any, make_queue: Make, take: Take, taskflow_clock: ManualClock, count: Any, receives: int
) -> None:
    dead = make_queue("dead")
    url = make_queue("work", RedrivePolicy=redrive(count=count))
    attributes = {"Foo": {"DataType": "String", "StringValue": "Bar"}}
    sent = sqs.send_message(QueueUrl=url, MessageBody="a", MessageAttributes=attributes)
    for number in range(1, receives + 1):
        (found,) = take(url)
        assert found["Attributes"]["ApproximateReceiveCount"] == str(number)
        taskflow_clock.advance(30)
        assert take(dead) == []
    assert take(url) == []
    (letter,) = take(dead)
    assert letter["MessageId"] == sent["MessageId"]
    assert letter["Body"] == "a"
    assert letter["MessageAttributes"] == attributes
    assert letter["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert letter["Attributes"]["SentTimestamp"] == "1800000000000"
    assert letter["Attributes"]["DeadLetterQueueSourceArn"] == f"{ARN}work"
    assert "DeadLetterQueueSourceArn" not in found["Attributes"]


def test_a_receive_that_buries_goes_on_to_the_next_message(
    sqs: Any, make_queue: Make, take: Take, taskflow_clock: ManualClock
) -> None:
    make_queue("dead")
    url = make_queue("work", RedrivePolicy=redrive())
    sqs.send_message(QueueUrl=url, MessageBody="worn")
    take(url)
    taskflow_clock.advance(30)
    sqs.send_message(QueueUrl=url, MessageBody="fresh")
    assert [one["Body"] for one in take(url)] == ["fresh"]


def test_dead_letters_may_die_again(
    sqs: Any, make_queue: Make, take: Take, taskflow_clock: ManualClock
) -> None:
    last = make_queue("last")
    dead = make_queue("dead", RedrivePolicy=redrive("last"))
    url = make_queue("work", RedrivePolicy=redrive("dead"))
    sqs.send_message(QueueUrl=url, MessageBody="a")
    for queue in (url, dead):
        assert len(take(queue)) == 1
        taskflow_clock.advance(30)
        assert take(queue) == []
    (letter,) = take(last)
    assert letter["Attributes"]["DeadLetterQueueSourceArn"] == f"{ARN}dead"


def test_a_dead_fifo_letter_keeps_its_group(
    sqs: Any, make_queue: Make, take: Take, taskflow_clock: ManualClock
) -> None:
    dead = make_queue("dead.fifo")
    url = make_queue("work.fifo", RedrivePolicy=redrive("dead.fifo"))
    for name in ("a1", "a2"):
        given = {"MessageGroupId": "a", "MessageDeduplicationId": name}
        sqs.send_message(QueueUrl=url, MessageBody=name, **given)
    take(url)
    taskflow_clock.advance(30)
    assert [one["Body"] for one in take(url)] == ["a2"]
    (letter,) = take(dead)
    assert letter["Attributes"]["MessageGroupId"] == "a"
    assert letter["Attributes"]["MessageDeduplicationId"] == "a1"


def test_a_queue_outlives_its_dead_letter_queue(
    sqs: Any, make_queue: Make, take: Take, taskflow_clock: ManualClock
) -> None:
    dead = make_queue("dead")
    url = make_queue("work", RedrivePolicy=redrive())
    sqs.delete_queue(QueueUrl=dead)
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "5"})
    sqs.send_message(QueueUrl=url, MessageBody="a")
    for _ in range(3):
        assert len(take(url)) == 1
        taskflow_clock.advance(5)
    asked = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])
    assert json.loads(asked["Attributes"]["RedrivePolicy"]) == json.loads(redrive())


# ---- the policy ---------------------------------------------------------------------------------
def test_a_policy_is_read_back_with_a_number(sqs: Any, make_queue: Make) -> None:
    make_queue("dead")
    url = make_queue("work", RedrivePolicy=redrive(count="7"))
    asked = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    wanted = {"deadLetterTargetArn": f"{ARN}dead", "maxReceiveCount": 7}
    assert json.loads(asked["Attributes"]["RedrivePolicy"]) == wanted
    for count in (7, "7"):
        assert make_queue("work", RedrivePolicy=redrive(count=count)) == url


TARGET = {"deadLetterTargetArn": f"{ARN}dead"}


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ("dead", "Redrive policy is not a valid JSON map."),
        ("[]", "Redrive policy is not a valid JSON map."),
        (TARGET, "Redrive policy does not contain mandatory attribute: maxReceiveCount."),
        (
            {"maxReceiveCount": 3},
            "Redrive policy does not contain mandatory attribute: deadLetterTargetArn.",
        ),
        (
            {"deadLetterTargetArn": "dummy", "maxReceiveCount": 42},
            "Invalid value for deadLetterTargetArn.",
        ),
        (
            {"deadLetterTargetArn": ["dead"], "maxReceiveCount": 42},
            "Invalid value for deadLetterTargetArn.",
        ),
        (
            {"deadLetterTargetArn": f"{ARN}nothing", "maxReceiveCount": 1},
            "Dead letter target does not exist.",
        ),
        (
            {"deadLetterTargetArn": f"{ARN}dead".replace("0" * 12, "1" * 12), "maxReceiveCount": 1},
            "Dead letter target does not exist.",
        ),
        (
            {"deadLetterTargetArn": f"{ARN}dead.fifo", "maxReceiveCount": 1},
            "Dead-letter queue of a standard queue must also be a standard queue.",
        ),
        (
            {"deadLetterTargetArn": f"{ARN}work", "maxReceiveCount": 1},
            "Dead-letter queue must not be the queue itself.",
        ),
        (
            {"deadLetterTargetArn": f"{ARN}closed", "maxReceiveCount": 1},
            "Queue does not have permission to use the dead-letter queue as its target.",
        ),
        ({**TARGET, "maxReceiveCount": 1, "other": 1}, "Invalid attribute name: other."),
        *(
            (
                {**TARGET, "maxReceiveCount": count},
                f"Invalid value for maxReceiveCount: {count}, valid values are from 1 to 1000 both "
                "inclusive.",
            )
            for count in (0, 1001, -1, "x", 1.5, True, "9" * 5000)
        ),
    ],
)
def test_a_policy_that_is_refused(
    sqs: Any, make_queue: Make, refused: Refused, policy: Any, reason: str
) -> None:
    make_queue("dead")
    make_queue("dead.fifo")
    make_queue("closed", RedriveAllowPolicy='{"redrivePermission":"denyAll"}')
    url = make_queue("work")
    text = policy if isinstance(policy, str) else json.dumps(policy)
    answer = refused(sqs.set_queue_attributes, QueueUrl=url, Attributes={"RedrivePolicy": text})
    assert answer == (
        "InvalidParameterValue",
        "InvalidParameterValueException",
        f"Value {text} for parameter RedrivePolicy is invalid. Reason: {reason}",
    )


# ---- who allows whom ----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("allowed", "good"),
    [
        ({"redrivePermission": "allowAll"}, True),
        ({"redrivePermission": "denyAll"}, False),
        ({"redrivePermission": "byQueue", "sourceQueueArns": [f"{ARN}work"]}, True),
        ({"redrivePermission": "byQueue", "sourceQueueArns": [f"{ARN}other"]}, False),
    ],
)
def test_a_dead_letter_queue_chooses_its_sources(
    make_queue: Make, refused: Refused, allowed: dict[str, Any], good: bool
) -> None:
    make_queue("dead", RedriveAllowPolicy=json.dumps(allowed))
    if good:
        make_queue("work", RedrivePolicy=redrive())
    else:
        code, _, text = refused(make_queue, name="work", RedrivePolicy=redrive())
        assert code == "InvalidParameterValue"
        assert "does not have permission" in text


@pytest.mark.parametrize(
    "policy",
    [
        {},
        {"redrivePermission": "nobody"},
        {"redrivePermission": "byQueue"},
        {"redrivePermission": "byQueue", "sourceQueueArns": []},
        {"redrivePermission": "byQueue", "sourceQueueArns": ["work"]},
        {"redrivePermission": "byQueue", "sourceQueueArns": [f"{ARN}{i}" for i in range(11)]},
        {"redrivePermission": "denyAll", "sourceQueueArns": [f"{ARN}a"]},
    ],
)
def test_a_redrive_allow_policy_that_is_refused(
    make_queue: Make, refused: Refused, policy: dict[str, Any]
) -> None:
    code, _, text = refused(make_queue, name="dead", RedriveAllowPolicy=json.dumps(policy))
    assert code == "InvalidParameterValue"
    assert "for parameter RedriveAllowPolicy is invalid." in text


def test_the_sources_of_a_dead_letter_queue_are_listed(sqs: Any, make_queue: Make) -> None:
    dead = make_queue("dead")
    assert not sqs.list_dead_letter_source_queues(QueueUrl=dead).get("queueUrls")
    urls = [make_queue(f"q-{i}", RedrivePolicy=redrive()) for i in range(3)]
    make_queue("other")
    assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == urls
    listing = sqs.get_paginator("list_dead_letter_source_queues")
    pages = listing.paginate(QueueUrl=dead, PaginationConfig={"PageSize": 2})
    assert [page["queueUrls"] for page in pages] == [urls[:2], urls[2:]]
