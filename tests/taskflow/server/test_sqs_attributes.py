"""Queue attributes over the wire: what is set is read back, as Terraform does; what is refused."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from taskflow.testing import ManualClock

Make = Callable[..., str]
Refused = Callable[..., tuple[str, str, str]]

ARN = "arn:aws:sqs:us-east-1:000000000000:"
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": f"{ARN}work"}
    ],
}


def invalid(text: str) -> tuple[str, str, str]:
    return "InvalidParameterValue", "InvalidParameterValueException", text


@pytest.fixture
def read(sqs: Any) -> Callable[..., dict[str, str]]:
    """The attributes of a queue, these or all."""

    def read(url: str, *names: str) -> dict[str, str]:
        asked = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(names or ["All"]))
        return dict(asked.get("Attributes", {}))

    return read


Read = Callable[..., dict[str, str]]


# ---- read ---------------------------------------------------------------------------------------
def test_all_attributes_of_a_standard_queue(make_queue: Make, read: Read) -> None:
    assert read(make_queue()) == {
        "ApproximateNumberOfMessages": "0",
        "ApproximateNumberOfMessagesDelayed": "0",
        "ApproximateNumberOfMessagesNotVisible": "0",
        "CreatedTimestamp": "1800000000",
        "DelaySeconds": "0",
        "LastModifiedTimestamp": "1800000000",
        "MaximumMessageSize": "1048576",
        "MessageRetentionPeriod": "345600",
        "QueueArn": f"{ARN}work",
        "ReceiveMessageWaitTimeSeconds": "0",
        "SqsManagedSseEnabled": "true",
        "VisibilityTimeout": "30",
    }


def test_a_fifo_queue_has_four_attributes_more(make_queue: Make, read: Read) -> None:
    standard, fifo = read(make_queue()), read(make_queue("work.fifo"))
    assert {name: fifo[name] for name in fifo.keys() - standard.keys()} == {
        "ContentBasedDeduplication": "false",
        "DeduplicationScope": "queue",
        "FifoQueue": "true",
        "FifoThroughputLimit": "perQueue",
    }


def test_only_what_is_asked_for_is_answered(
    sqs: Any, make_queue: Make, read: Read, refused: Refused
) -> None:
    url = make_queue()
    assert "Attributes" not in sqs.get_queue_attributes(QueueUrl=url)
    assert read(url, "QueueArn", "DelaySeconds") == {"QueueArn": f"{ARN}work", "DelaySeconds": "0"}
    assert read(url, "Policy", "RedrivePolicy", "FifoQueue", "KmsMasterKeyId") == {}
    answer = refused(sqs.get_queue_attributes, QueueUrl=url, AttributeNames=["Nothing"])
    assert answer == ("InvalidAttributeName", "InvalidAttributeName", "Unknown Attribute Nothing.")


def test_the_time_of_a_change_is_told(
    sqs: Any, make_queue: Make, read: Read, taskflow_clock: ManualClock
) -> None:
    url = make_queue()
    taskflow_clock.advance(90)
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "1"})
    found = read(url, "CreatedTimestamp", "LastModifiedTimestamp")
    assert found == {"CreatedTimestamp": "1800000000", "LastModifiedTimestamp": "1800000090"}


# ---- set and read back --------------------------------------------------------------------------
TEXTS = [
    ("VisibilityTimeout", ["0", "43200"]),
    ("DelaySeconds", ["0", "900"]),
    ("MessageRetentionPeriod", ["60", "1209600"]),
    ("ReceiveMessageWaitTimeSeconds", ["0", "20"]),
    ("MaximumMessageSize", ["1024", "1048576"]),
    ("Policy", [json.dumps(POLICY), json.dumps(POLICY, indent=2)]),
    (
        "RedriveAllowPolicy",
        ['{"redrivePermission": "denyAll"}', '{"redrivePermission":"allowAll"}'],
    ),
    ("SqsManagedSseEnabled", ["true", "false"]),
    ("KmsMasterKeyId", ["alias/aws/sqs"]),
]


@pytest.mark.parametrize(("name", "text"), [(name, one) for name, all in TEXTS for one in all])
def test_what_is_set_is_read_back_as_it_was(
    sqs: Any, make_queue: Make, read: Read, name: str, text: str
) -> None:
    made, url = make_queue("made", **{name: text}), make_queue()
    sqs.set_queue_attributes(QueueUrl=url, Attributes={name: text})
    assert read(made)[name] == read(url, name)[name] == text
    assert make_queue("made", **{name: text}) == made


@pytest.mark.parametrize(
    "wanted",
    [
        {"ContentBasedDeduplication": "true"},
        {"DeduplicationScope": "messageGroup"},
        {"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"},
        {"FifoQueue": "true", "ContentBasedDeduplication": "false"},
    ],
)
def test_fifo_attributes_are_read_back(
    sqs: Any, make_queue: Make, read: Read, wanted: dict[str, str]
) -> None:
    url = make_queue("work.fifo")
    sqs.set_queue_attributes(QueueUrl=url, Attributes=wanted)
    assert read(url, *wanted) == wanted


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Policy", json.dumps(POLICY)),
        ("RedriveAllowPolicy", '{"redrivePermission":"denyAll"}'),
        ("RedrivePolicy", json.dumps({"deadLetterTargetArn": f"{ARN}dead", "maxReceiveCount": 3})),
        ("KmsMasterKeyId", "alias/aws/sqs"),
    ],
)
def test_an_empty_text_takes_an_attribute_away(
    sqs: Any, make_queue: Make, read: Read, name: str, text: str
) -> None:
    make_queue("dead")
    url = make_queue(**{name: text})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={name: ""})
    assert name not in read(url)


def test_the_two_kinds_of_encryption_exclude_each_other(
    sqs: Any, make_queue: Make, read: Read, refused: Refused
) -> None:
    url = make_queue()
    keyed = {"KmsMasterKeyId": "key", "KmsDataKeyReusePeriodSeconds": "6000"}
    names = (*keyed, "SqsManagedSseEnabled")
    sqs.set_queue_attributes(QueueUrl=url, Attributes=keyed)
    assert read(url, *names) == {**keyed, "SqsManagedSseEnabled": "false"}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"SqsManagedSseEnabled": "true"})
    assert read(url, *names) == {"SqsManagedSseEnabled": "true"}
    both = {"KmsMasterKeyId": "key", "SqsManagedSseEnabled": "true"}
    code, _, text = refused(sqs.set_queue_attributes, QueueUrl=url, Attributes=both)
    assert code == "InvalidAttributeName"
    assert text.startswith("You can use one type of server-side encryption (SSE) at one time.")


def test_a_key_has_the_reuse_period_of_aws(make_queue: Make, read: Read) -> None:
    url = make_queue(KmsMasterKeyId="key")
    assert read(url, "KmsDataKeyReusePeriodSeconds") == {"KmsDataKeyReusePeriodSeconds": "300"}


# ---- refused ------------------------------------------------------------------------------------
BAD = [
    ("VisibilityTimeout", ["43201", "-1", "1.5", "", "x", "9" * 5000, "٣"]),
    ("DelaySeconds", ["901", "-1"]),
    ("MessageRetentionPeriod", ["59", "1209601"]),
    ("ReceiveMessageWaitTimeSeconds", ["21", "-1"]),
    ("MaximumMessageSize", ["1023", "1048577"]),
    ("KmsDataKeyReusePeriodSeconds", ["59", "86401"]),
    ("SqsManagedSseEnabled", ["yes"]),
    ("Policy", ["{", '{"Statement": 1}', "[]"]),
]


@pytest.mark.parametrize(("name", "text"), [(name, one) for name, all in BAD for one in all])
def test_a_bad_value_is_refused_and_changes_nothing(
    sqs: Any, make_queue: Make, read: Read, refused: Refused, name: str, text: str
) -> None:
    url = make_queue()
    before = read(url)
    for method, target in (
        (sqs.set_queue_attributes, {"QueueUrl": url}),
        (sqs.create_queue, {"QueueName": "new"}),
    ):
        code, shape, message = refused(
            method, **target, Attributes={"DelaySeconds": "3", name: text}
        )
        assert code == shape == "InvalidAttributeValue"
        assert message.startswith(f"Invalid value for the parameter {name}.")
    assert read(url) == before
    assert len(sqs.list_queues()["QueueUrls"]) == 1


@pytest.mark.parametrize(
    ("queue", "name"),
    [
        ("work", "FifoQueue"),
        ("work", "ContentBasedDeduplication"),
        ("work", "Nothing"),
        ("work", "QueueArn"),
        ("work.fifo", "ApproximateNumberOfMessages"),
        ("work.fifo", "CreatedTimestamp"),
    ],
)
def test_an_unknown_attribute(
    sqs: Any, make_queue: Make, refused: Refused, queue: str, name: str
) -> None:
    url = make_queue(queue)
    answer = refused(sqs.set_queue_attributes, QueueUrl=url, Attributes={name: "true"})
    assert answer == ("InvalidAttributeName", "InvalidAttributeName", f"Unknown Attribute {name}.")


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ({"FifoQueue": "false"}, "FifoQueue. Reason: Modifying queue type is not supported."),
        ({"ContentBasedDeduplication": "1"}, "ContentBasedDeduplication."),
        ({"DeduplicationScope": "topic"}, "DeduplicationScope."),
        ({"FifoThroughputLimit": "perMessageGroupId"}, "FifoThroughputLimit."),
    ],
)
def test_a_bad_value_of_a_fifo_attribute(
    sqs: Any, make_queue: Make, refused: Refused, wanted: dict[str, str], text: str
) -> None:
    url = make_queue("work.fifo")
    code, shape, message = refused(sqs.set_queue_attributes, QueueUrl=url, Attributes=wanted)
    assert code == shape == "InvalidAttributeValue"
    assert message.startswith(f"Invalid value for the parameter {text}")


# ---- permissions --------------------------------------------------------------------------------
def test_permissions_are_kept_in_the_policy(sqs: Any, make_queue: Make, refused: Refused) -> None:
    url = make_queue()
    given = {"Label": "one", "AWSAccountIds": ["1" * 12], "Actions": ["ReceiveMessage"]}
    sqs.add_permission(QueueUrl=url, **given)
    answer = refused(sqs.add_permission, QueueUrl=url, **given)
    assert answer == invalid("Value one for parameter Label is invalid. Reason: Already exists.")
    asked = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
    (statement,) = json.loads(asked["Attributes"]["Policy"])["Statement"]
    assert statement == {
        "Sid": "one",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::111111111111:root"},
        "Action": "SQS:ReceiveMessage",
        "Resource": "arn:aws:sqs:us-east-1:000000000000:work",
    }
    sqs.remove_permission(QueueUrl=url, Label="one")
    assert "Attributes" not in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
    answer = refused(sqs.remove_permission, QueueUrl=url, Label="one")
    assert answer == invalid("Value one for parameter Label is invalid. Reason: can't find label.")


@pytest.mark.parametrize(
    ("name", "code", "text"),
    [
        ("Actions", "MissingParameter", "The request must contain the parameter Actions."),
        (
            "AWSAccountIds",
            "InvalidParameterValue",
            "Value [] for parameter PrincipalId is invalid. Reason: Unable to verify.",
        ),
    ],
)
def test_a_permission_names_somebody_and_something(
    sqs: Any, make_queue: Make, refused: Refused, name: str, code: str, text: str
) -> None:
    given = {"Label": "a", "AWSAccountIds": ["1" * 12], "Actions": ["*"]} | {name: []}
    answer = refused(sqs.add_permission, QueueUrl=make_queue(), **given)
    assert (answer[0], answer[2]) == (code, text)
