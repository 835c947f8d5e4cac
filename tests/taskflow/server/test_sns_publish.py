"""Publishing over the wire: what arrives in queues, and what is refused."""

import json
from hashlib import sha256
from typing import Any

import pytest

from taskflow.broker import Broker
from taskflow.broker.settings import Finish
from taskflow.message import Attribute, Delivery
from tests.taskflow.server.test_sns_topics import ARN, refusal

QUEUE = "arn:aws:sqs:us-east-1:000000000000:"


@pytest.fixture
def topic(sns: Any, taskflow_broker: Broker) -> str:
    """The ARN of a topic with two queues: `plain` gets envelopes, `raw` bare bodies."""
    arn = str(sns.create_topic(Name="orders")["TopicArn"])
    for name, raw in (("plain", "false"), ("raw", "true")):
        taskflow_broker.create_queue(name)
        sns.subscribe(
            TopicArn=arn,
            Protocol="sqs",
            Endpoint=QUEUE + name,
            Attributes={"RawMessageDelivery": raw},
        )
    return arn


@pytest.fixture
def fifo_topic(sns: Any, taskflow_broker: Broker) -> str:
    """The ARN of a FIFO topic with a FIFO queue, `q.fifo`, and a standard one, `std`; both raw."""
    arn = str(sns.create_topic(Name="t.fifo", Attributes={"FifoTopic": "true"})["TopicArn"])
    for name in ("q.fifo", "std"):
        taskflow_broker.create_queue(name)
        sns.subscribe(
            TopicArn=arn,
            Protocol="sqs",
            Endpoint=QUEUE + name,
            Attributes={"RawMessageDelivery": "true"},
        )
    return arn


def take(broker: Broker, queue: str) -> list[Delivery]:
    """All visible messages of a queue; they are deleted."""
    found = broker.receive(queue, limit=100)
    broker.delete([Finish(one) for one in found])
    return found


# ---- publish ------------------------------------------------------------------------------------
@pytest.mark.parametrize("parameter", ["TopicArn", "TargetArn"])
def test_a_message_reaches_every_queue(
    sns: Any, topic: str, taskflow_broker: Broker, parameter: str
) -> None:
    answer = sns.publish(
        **{parameter: topic},
        Message="hellø",
        Subject="About",
        MessageAttributes={
            "n": {"DataType": "Number", "StringValue": "1.5"},
            "b": {"DataType": "Binary", "BinaryValue": b"\0\xff"},
        },
    )
    assert "SequenceNumber" not in answer
    (bare,) = take(taskflow_broker, "raw")
    assert (bare.id, bare.body, bare.subject) == (answer["MessageId"], "hellø", None)
    assert bare.attributes == {"n": Attribute("Number", "1.5"), "b": Attribute("Binary", b"\0\xff")}
    (wrapped,) = take(taskflow_broker, "plain")
    assert wrapped.attributes == {}
    envelope = json.loads(wrapped.body)
    subscription = next(
        one for one in taskflow_broker.subscriptions("orders") if one.endpoint == "plain"
    )
    assert envelope.pop("UnsubscribeURL").endswith(
        f"/?Action=Unsubscribe&SubscriptionArn={topic}:{subscription.id}"
    )
    assert envelope == {
        "Type": "Notification",
        "MessageId": answer["MessageId"],
        "TopicArn": topic,
        "Subject": "About",
        "Message": "hellø",
        "Timestamp": "2027-01-15T08:00:00.000Z",
        "SignatureVersion": "1",
        "Signature": "",
        "SigningCertURL": "",
        "MessageAttributes": {
            "n": {"Type": "Number", "Value": "1.5"},
            "b": {"Type": "Binary", "Value": "AP8="},
        },
    }


def test_ids_differ_and_sort_by_time(sns: Any, topic: str, taskflow_clock: Any) -> None:
    ids = []
    for _ in range(3):
        ids.append(sns.publish(TopicArn=topic, Message="m")["MessageId"])
        taskflow_clock.advance(1)
    assert sorted(set(ids)) == ids


def test_a_filter_counts_from_the_moment_it_is_set(
    sns: Any, topic: str, taskflow_broker: Broker
) -> None:
    subscription = next(
        one for one in taskflow_broker.subscriptions("orders") if one.endpoint == "raw"
    )
    sns.set_subscription_attributes(
        SubscriptionArn=f"{topic}:{subscription.id}",
        AttributeName="FilterPolicy",
        AttributeValue='{"kind": ["a"]}',
    )
    for kind in ("a", "b"):
        attribute = {"kind": {"DataType": "String", "StringValue": kind}}
        sns.publish(TopicArn=topic, Message=kind, MessageAttributes=attribute)
    assert [one.body for one in take(taskflow_broker, "raw")] == ["a"]
    assert len(take(taskflow_broker, "plain")) == 2


def test_a_group_goes_on_to_standard_queues(sns: Any, topic: str, taskflow_broker: Broker) -> None:
    sns.publish(TopicArn=topic, Message="m", MessageGroupId="tenant")
    assert [one.group for one in take(taskflow_broker, "raw")] == ["tenant"]
    assert [one.group for one in take(taskflow_broker, "plain")] == ["tenant"]


@pytest.mark.parametrize(
    ("bodies", "body"),
    [
        ({"default": "d"}, "d"),
        ({"default": "d", "sqs": "s", "http": "h"}, "s"),
        ({"default": "d", "sqs": 5}, "d"),
        ({"default": "d", "sqs": {"a": 1}, "other": "x"}, "d"),
    ],
)
def test_a_structured_message_has_a_body_for_each_protocol(
    sns: Any, topic: str, taskflow_broker: Broker, bodies: Any, body: str
) -> None:
    sns.publish(TopicArn=topic, Message=json.dumps(bodies), MessageStructure="json")
    assert [one.body for one in take(taskflow_broker, "raw")] == [body]
    (wrapped,) = take(taskflow_broker, "plain")
    assert json.loads(wrapped.body)["Message"] == body


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"Message": ""}, "Empty message"),
        ({"Message": "m\0"}, "the message body holds U+0000 at 1"),
        ({"Message": "m", "Subject": ""}, "Subject"),
        ({"Message": "m", "Subject": "x" * 100}, "Subject"),
        ({"Message": "m", "Subject": "a\nb"}, "Subject"),
        ({"Message": "m", "Subject": "é"}, "Subject"),
        ({"Message": "m", "Subject": " a"}, "Subject"),
        ({"Message": "x" * 262145}, "Message too long"),
        (
            {"Message": "{", "MessageStructure": "json"},
            "Message Structure - JSON message body failed to parse",
        ),
        (
            {"Message": "[]", "MessageStructure": "json"},
            "Message Structure - JSON message body failed to parse",
        ),
        (
            {"Message": '{"sqs": "a"}', "MessageStructure": "json"},
            "Message Structure - No default entry in JSON message body",
        ),
        (
            {"Message": '{"default": 1}', "MessageStructure": "json"},
            "Message Structure - No default entry in JSON message body",
        ),
        ({"Message": '{"default": "d", "sqs": ""}', "MessageStructure": "json"}, "Empty message"),
        ({"Message": "m", "MessageStructure": "xml"}, "MessageStructure"),
        (
            {"Message": "m", "MessageDeduplicationId": "d"},
            "MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter "
            "that is not valid for this topic type",
        ),
        ({"Message": "m", "MessageGroupId": "a b"}, "MessageGroupId"),
        ({"Message": "m", "MessageGroupId": "x" * 129}, "MessageGroupId"),
    ],
)
def test_a_message_is_refused(
    sns: Any, topic: str, taskflow_broker: Broker, params: Any, message: str
) -> None:
    code, found, status = refusal(sns.publish, TopicArn=topic, **params)
    assert (code, status) == ("InvalidParameter", 400)
    assert found.startswith(f"Invalid parameter: {message}")
    assert take(taskflow_broker, "raw") == []


def test_attributes_are_refused_in_the_words_of_sns(sns: Any, topic: str) -> None:
    wrong = {"attr1": {"DataType": "Text", "StringValue": "x"}}
    found = refusal(sns.publish, TopicArn=topic, Message="m", MessageAttributes=wrong)
    assert found == (
        "ParameterValueInvalid",
        "The message attribute 'attr1' has an invalid message attribute type, the set of supported "
        "type prefixes is Binary, Number, and String.",
        400,
    )


def test_attributes_count_towards_the_size(sns: Any, topic: str) -> None:
    sns.set_topic_attributes(
        TopicArn=topic, AttributeName="MaximumMessageSize", AttributeValue="1024"
    )
    # 1024 bytes with the name, the type and the value of the attribute.
    attribute = {"a": {"DataType": "Binary", "BinaryValue": b"xyz"}}
    call = {"TopicArn": topic, "MessageAttributes": attribute}
    sns.publish(**call, Message="m" * 1014)
    assert refusal(sns.publish, **call, Message="m" * 1015)[1].endswith("Message too long")


def test_a_topic_may_take_a_mebibyte(sns: Any, topic: str, taskflow_broker: Broker) -> None:
    subscription = next(
        one for one in taskflow_broker.subscriptions("orders") if one.endpoint == "plain"
    )
    sns.unsubscribe(SubscriptionArn=f"{topic}:{subscription.id}")
    sns.set_topic_attributes(
        TopicArn=topic, AttributeName="MaximumMessageSize", AttributeValue="1048576"
    )
    sns.publish(TopicArn=topic, Message="m" * 1048576)
    assert len(take(taskflow_broker, "raw")[0].body) == 1048576


@pytest.mark.parametrize(
    ("params", "answer"),
    [
        ({"TopicArn": ARN + "x"}, ("NotFound", "Topic does not exist")),
        ({"TopicArn": ARN + "orders:1"}, ("NotFound", "Topic does not exist")),
        (
            {"TopicArn": "x"},
            (
                "InvalidParameter",
                "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 1",
            ),
        ),
        (
            {},
            (
                "InvalidParameter",
                "Invalid parameter: TopicArn or TargetArn Reason: no value for required parameter",
            ),
        ),
        (
            {"PhoneNumber": "+4930123456"},
            (
                "InvalidParameter",
                "Invalid parameter: PhoneNumber Reason: SMS is not supported by this server",
            ),
        ),
    ],
)
def test_a_target_is_refused(sns: Any, params: Any, answer: tuple[str, str]) -> None:
    assert refusal(sns.publish, Message="m", **params)[:2] == answer


# ---- FIFO ---------------------------------------------------------------------------------------
def test_a_fifo_topic_numbers_and_deduplicates(
    sns: Any, fifo_topic: str, taskflow_broker: Broker
) -> None:
    call = {"TopicArn": fifo_topic, "MessageGroupId": "g"}
    first = sns.publish(**call, Message="a", MessageDeduplicationId="1")
    again = sns.publish(**call, Message="b", MessageDeduplicationId="1")
    second = sns.publish(**call, Message="c", MessageDeduplicationId="2")
    assert (again["MessageId"], again["SequenceNumber"]) == (
        first["MessageId"],
        first["SequenceNumber"],
    )
    assert len(first["SequenceNumber"]) == 20
    assert second["SequenceNumber"] > first["SequenceNumber"]
    found = take(taskflow_broker, "q.fifo")
    assert [(one.body, one.group, one.deduplication_id) for one in found] == [
        ("a", "g", "1"),
        ("c", "g", "2"),
    ]
    assert [(one.body, one.group) for one in take(taskflow_broker, "std")] == [
        ("a", None),
        ("c", None),
    ]


def test_content_makes_a_deduplication_id_that_goes_on_to_the_queue(
    sns: Any, fifo_topic: str, taskflow_broker: Broker
) -> None:
    sns.set_topic_attributes(
        TopicArn=fifo_topic, AttributeName="ContentBasedDeduplication", AttributeValue="true"
    )
    for _ in range(2):
        sns.publish(TopicArn=fifo_topic, Message="a", MessageGroupId="g")
    (found,) = take(taskflow_broker, "q.fifo")
    assert found.deduplication_id == sha256(b"a").hexdigest()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "The MessageGroupId parameter is required for FIFO topics"),
        (
            {"MessageGroupId": "g"},
            "The topic should either have ContentBasedDeduplication enabled or "
            "MessageDeduplicationId provided explicitly",
        ),
    ],
)
def test_a_fifo_topic_wants_ids(sns: Any, fifo_topic: str, params: Any, message: str) -> None:
    answer = ("InvalidParameter", f"Invalid parameter: {message}", 400)
    assert refusal(sns.publish, TopicArn=fifo_topic, Message="m", **params) == answer
    entries = [{"Id": "1", "Message": "m", **params}]
    call = {"TopicArn": fifo_topic, "PublishBatchRequestEntries": entries}
    assert refusal(sns.publish_batch, **call) == answer


# ---- batches ------------------------------------------------------------------------------------
def test_entries_of_a_batch_fail_alone(sns: Any, topic: str, taskflow_broker: Broker) -> None:
    answer = sns.publish_batch(
        TopicArn=topic,
        PublishBatchRequestEntries=[
            {"Id": "a", "Message": "one"},
            {"Id": "b", "Message": ""},
            {"Id": "c", "Message": "two", "Subject": "x" * 100},
            {"Id": "d", "Message": "three"},
        ],
    )
    found = take(taskflow_broker, "raw")
    assert [one.body for one in found] == ["one", "three"]
    assert answer["Successful"] == [
        {"Id": "a", "MessageId": found[0].id},
        {"Id": "d", "MessageId": found[1].id},
    ]
    assert [(one["Id"], one["Code"], one["SenderFault"]) for one in answer["Failed"]] == [
        ("b", "InvalidParameter", True),
        ("c", "InvalidParameter", True),
    ]


def test_a_batch_in_which_all_fail_is_answered(sns: Any, topic: str) -> None:
    answer = sns.publish_batch(
        TopicArn=topic, PublishBatchRequestEntries=[{"Id": "a", "Message": ""}]
    )
    assert answer.get("Successful", []) == []
    assert len(answer["Failed"]) == 1


def test_a_batch_to_a_fifo_topic_is_numbered(sns: Any, fifo_topic: str) -> None:
    entries = [
        {"Id": str(i), "Message": "m", "MessageGroupId": "g", "MessageDeduplicationId": str(i % 2)}
        for i in range(3)
    ]
    found = sns.publish_batch(TopicArn=fifo_topic, PublishBatchRequestEntries=entries)["Successful"]
    assert found[0]["SequenceNumber"] < found[1]["SequenceNumber"]
    assert found[2]["SequenceNumber"] == found[0]["SequenceNumber"]
    assert found[2]["MessageId"] == found[0]["MessageId"]


@pytest.mark.parametrize(
    ("entries", "code", "message"),
    [
        ([], "EmptyBatchRequest", "The batch request doesn't contain any entries."),
        (
            [{"Id": f"a{i}", "Message": "m"} for i in range(11)],
            "TooManyEntriesInBatchRequest",
            "The batch request contains more entries than permissible.",
        ),
        (
            [{"Id": "a", "Message": "m"}] * 2,
            "BatchEntryIdsNotDistinct",
            "Two or more batch entries in the request have the same Id.",
        ),
        ([{"Id": "a b", "Message": "m"}], "InvalidBatchEntryId", "The Id of a batch entry"),
        (
            [{"Id": f"a{i}", "Message": "m" * 131073} for i in range(2)],
            "BatchRequestTooLong",
            "The length of all the messages put together is more than the limit.",
        ),
        (
            [
                {"Id": "a", "Message": "m"},
                {"Id": "b", "Message": '{"sqs": "s"}', "MessageStructure": "json"},
            ],
            "InvalidParameter",
            "Invalid parameter: Message Structure - No default entry in JSON message body",
        ),
    ],
)
def test_a_whole_batch_is_refused(
    sns: Any, topic: str, taskflow_broker: Broker, entries: Any, code: str, message: str
) -> None:
    found = refusal(sns.publish_batch, TopicArn=topic, PublishBatchRequestEntries=entries)
    assert found[0] == code
    assert found[1].startswith(message)
    assert take(taskflow_broker, "raw") == []


def test_a_batch_to_nothing_is_not_found(sns: Any) -> None:
    entries = [{"Id": "a", "Message": "m"}]
    found = refusal(sns.publish_batch, TopicArn=ARN + "x", PublishBatchRequestEntries=entries)
    assert found == ("NotFound", "Topic does not exist", 404)
