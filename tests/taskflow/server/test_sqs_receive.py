"""ReceiveMessage and DeleteMessage over the wire: what a message shows, handles, counters."""

from collections.abc import Callable
from typing import Any

import pytest

from taskflow.broker import Broker
from taskflow.message import Attribute, Message
from taskflow.testing import ManualClock

Make = Callable[..., str]
Refused = Callable[..., tuple[str, str, str]]
Query = Callable[..., Any]


def invalid(text: str) -> tuple[str, str, str]:
    return "InvalidParameterValue", "InvalidParameterValueException", text


@pytest.fixture
def take(sqs: Any) -> Callable[..., list[Any]]:
    """Receive; [] for nothing."""

    def take(url: str, **more: Any) -> list[Any]:
        return list(sqs.receive_message(QueueUrl=url, **more).get("Messages", []))

    return take


Take = Callable[..., list[Any]]


@pytest.fixture
def count(sqs: Any) -> Callable[[str], tuple[int, ...]]:
    """How many messages are visible, in flight and delayed."""
    names = [f"ApproximateNumberOfMessages{end}" for end in ("", "NotVisible", "Delayed")]

    def count(url: str) -> tuple[int, ...]:
        asked = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return tuple(int(asked[name]) for name in names)

    return count


Count = Callable[[str], tuple[int, ...]]


# ---- bounds -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("MaxNumberOfMessages", 0, "Must be between 1 and 10, if provided."),
        ("MaxNumberOfMessages", 11, "Must be between 1 and 10, if provided."),
        ("WaitTimeSeconds", -1, "Must be >= 0 and <= 20, if provided."),
        ("WaitTimeSeconds", 21, "Must be >= 0 and <= 20, if provided."),
        ("VisibilityTimeout", -1, "VisibilityTimeout must be an integer between 0 and 43200."),
        ("VisibilityTimeout", 43201, "VisibilityTimeout must be an integer between 0 and 43200."),
    ],
)
def test_bounds(
    sqs: Any, make_queue: Make, refused: Refused, name: str, value: int, reason: str
) -> None:
    answer = refused(sqs.receive_message, QueueUrl=make_queue(), **{name: value})
    assert answer == invalid(f"Value {value} for parameter {name} is invalid. Reason: {reason}")


@pytest.mark.parametrize(("wanted", "got"), [({}, 1), ({"MaxNumberOfMessages": 10}, 10)])
def test_how_many_come(
    sqs: Any, make_queue: Make, take: Take, wanted: dict[str, int], got: int
) -> None:
    url = make_queue()
    for number in range(11):
        sqs.send_message(QueueUrl=url, MessageBody=str(number))
    assert [one["Body"] for one in take(url, **wanted)] == [str(i) for i in range(got)]


# ---- what a message shows -----------------------------------------------------------------------
def test_a_message_shows_no_more_than_is_asked_for(sqs: Any, make_queue: Make, take: Take) -> None:
    url = make_queue()
    attributes = {"a": {"DataType": "String", "StringValue": "b"}}
    sent = sqs.send_message(QueueUrl=url, MessageBody="message", MessageAttributes=attributes)
    (found,) = take(url)
    assert found.pop("ReceiptHandle")
    assert found == {
        "MessageId": sent["MessageId"],
        "Body": "message",
        "MD5OfBody": "78e731027d8fd50ed642340b7c9a63b3",
    }
    assert take(url) == []


# What AWS answered for these.
@pytest.mark.parametrize(
    ("names", "shown", "sum"),
    [
        (["All"], ["General", "Hello", "Help.Me"], "4c360f3fdafd970e05fae2f149d997f5"),
        (["*"], ["General", "Hello", "Help.Me"], "4c360f3fdafd970e05fae2f149d997f5"),
        ([".*"], ["General", "Hello", "Help.Me"], "4c360f3fdafd970e05fae2f149d997f5"),
        (["Foo", "Help"], [], None),
        (["Hello", "General"], ["General", "Hello"], "fca026605781cb4126a1e9044df24232"),
        (["Foo", "Hello"], ["Hello"], "a311262e065454b75da111d535b8dacd"),
        (["Hel.*"], ["Hello", "Help.Me"], "83fee93c1bcd8b9a5a923ffacdc636c7"),
        (["AWS."], [], None),
        (["..foo"], [], None),
    ],
)
def test_attributes_are_asked_for_by_name_and_prefix(
    sqs: Any, make_queue: Make, take: Take, names: list[str], shown: list[str], sum: str | None
) -> None:
    url = make_queue()
    texts = {"Help.Me": "Me", "Hello": "There", "General": "Kenobi"}
    sqs.send_message(
        QueueUrl=url,
        MessageBody="msg",
        MessageAttributes={
            name: {"DataType": "String", "StringValue": text} for name, text in texts.items()
        },
    )
    (found,) = take(url, MessageAttributeNames=names)
    assert sorted(found.get("MessageAttributes", {})) == shown
    assert found.get("MD5OfMessageAttributes") == sum


def test_every_type_of_attribute_comes_back(sqs: Any, make_queue: Make, take: Take) -> None:
    url = make_queue()
    attributes = {
        "text": {"DataType": "String", "StringValue": "é\n"},
        "label": {"DataType": "String.uuid", "StringValue": "a"},
        "number": {"DataType": "Number", "StringValue": "-1.5e3"},
        "count": {"DataType": "Number.int", "StringValue": "007"},
        "bytes": {"DataType": "Binary", "BinaryValue": b"\0\xff"},
        "image": {"DataType": "Binary.png", "BinaryValue": b"a"},
    }
    sent = sqs.send_message(QueueUrl=url, MessageBody="a", MessageAttributes=attributes)
    (found,) = take(url, MessageAttributeNames=["All"])
    assert found["MessageAttributes"] == attributes
    assert found["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]


def test_what_workers_send_is_readable(
    taskflow_broker: Broker, make_queue: Make, take: Take
) -> None:
    url = make_queue()
    message = Message("id-1", "body", {"a": "text", "n": Attribute("Number", "1")})
    taskflow_broker.send("work", [message])
    (found,) = take(url, MessageAttributeNames=["All"], AttributeNames=["SenderId"])
    assert (found["MessageId"], found["Body"]) == ("id-1", "body")
    assert found["Attributes"] == {"SenderId": "000000000000"}
    assert found["MessageAttributes"] == {
        "a": {"DataType": "String", "StringValue": "text"},
        "n": {"DataType": "Number", "StringValue": "1"},
    }


@pytest.mark.parametrize("parameter", ["AttributeNames", "MessageSystemAttributeNames"])
def test_system_attributes_persist_and_count(
    sqs: Any, make_queue: Make, take: Take, taskflow_clock: ManualClock, parameter: str
) -> None:
    url = make_queue()
    sqs.send_message(QueueUrl=url, MessageBody="a")
    for receives, seconds in ((1, 2), (2, 30)):
        taskflow_clock.advance(seconds)
        (found,) = take(url, **{parameter: ["All"]})
        assert found["Attributes"] == {
            "SenderId": "TF1",
            "SentTimestamp": "1800000000000",
            "ApproximateReceiveCount": str(receives),
            "ApproximateFirstReceiveTimestamp": "1800000002000",
        }
    taskflow_clock.advance(30)
    (found,) = take(url, **{parameter: ["SenderId", "SequenceNumber", "Policy"]})
    assert found["Attributes"] == {"SenderId": "TF1"}


def test_both_parameters_name_system_attributes(sqs: Any, make_queue: Make, take: Take) -> None:
    url = make_queue()
    sqs.send_message(QueueUrl=url, MessageBody="a")
    (found,) = take(
        url, AttributeNames=["SenderId"], MessageSystemAttributeNames=["ApproximateReceiveCount"]
    )
    assert found["Attributes"] == {"SenderId": "TF1", "ApproximateReceiveCount": "1"}


@pytest.mark.parametrize("parameter", ["AttributeNames", "MessageSystemAttributeNames"])
def test_an_unknown_system_attribute(
    sqs: Any, make_queue: Make, refused: Refused, parameter: str
) -> None:
    answer = refused(sqs.receive_message, QueueUrl=make_queue(), **{parameter: ["Nothing"]})
    assert answer == ("InvalidAttributeName", "InvalidAttributeName", "Unknown Attribute Nothing.")


# ---- handles and deletes ------------------------------------------------------------------------
def test_every_receive_makes_another_handle(
    sqs: Any, make_queue: Make, take: Take, count: Count
) -> None:
    url = make_queue(VisibilityTimeout=0)
    sqs.send_message(QueueUrl=url, MessageBody="a")
    handles = [take(url)[0]["ReceiptHandle"] for _ in range(3)]
    assert len(set(handles)) == 3
    for handle in handles:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=handle)
        assert count(url) == (0, 0, 0)


@pytest.mark.parametrize("which", [0, 1])
def test_any_handle_deletes_a_message_in_flight(
    sqs: Any, make_queue: Make, take: Take, count: Count, which: int
) -> None:
    url = make_queue()
    sqs.send_message(QueueUrl=url, MessageBody="a")
    handles = [take(url, VisibilityTimeout=0)[0]["ReceiptHandle"], take(url)[0]["ReceiptHandle"]]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=handles[which])
    assert count(url) == (0, 0, 0)


def test_a_message_that_is_visible_again_can_be_deleted(
    sqs: Any, make_queue: Make, take: Take, taskflow_clock: ManualClock
) -> None:
    url = make_queue()
    sqs.send_message(QueueUrl=url, MessageBody="a")
    (found,) = take(url)
    taskflow_clock.advance(31)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=found["ReceiptHandle"])
    assert take(url) == []


@pytest.mark.parametrize(
    "handle",
    ["", "garbage", "1", "1.", "-1.1", "1.1 ", "9223372036854775808.1", "1.9" + "9" * 18, "1" * 99],
)
@pytest.mark.parametrize("queue", ["work", "work.fifo"])
def test_a_malformed_handle(
    sqs: Any, make_queue: Make, refused: Refused, queue: str, handle: str
) -> None:
    url = make_queue(queue)
    text = f'The input receipt handle "{handle}" is not a valid receipt handle.'
    answer = ("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", text)
    assert refused(sqs.delete_message, QueueUrl=url, ReceiptHandle=handle) == answer
    change = {"ReceiptHandle": handle, "VisibilityTimeout": 1}
    assert refused(sqs.change_message_visibility, QueueUrl=url, **change) == answer


# ---- counters and retention ---------------------------------------------------------------------
def test_counters_are_exact(
    sqs: Any, make_queue: Make, take: Take, count: Count, taskflow_clock: ManualClock
) -> None:
    url = make_queue()
    for delay in (0, 0, 0, 10):
        sqs.send_message(QueueUrl=url, MessageBody="a", DelaySeconds=delay)
    assert count(url) == (3, 0, 1)
    first, second = take(url, MaxNumberOfMessages=2)
    assert count(url) == (1, 2, 1)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
    assert count(url) == (1, 1, 1)
    handle = second["ReceiptHandle"]
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)
    assert count(url) == (2, 0, 1)
    taskflow_clock.advance(10)
    assert count(url) == (3, 0, 0)


def test_retention_counts_from_the_send_for_all_messages(
    sqs: Any, make_queue: Make, take: Take, count: Count, taskflow_clock: ManualClock
) -> None:
    url = make_queue(MessageRetentionPeriod=60)
    for delay in (0, 0, 50):
        sqs.send_message(QueueUrl=url, MessageBody="a", DelaySeconds=delay)
    take(url, VisibilityTimeout=600)
    taskflow_clock.advance(59)
    assert count(url) == (2, 1, 0)
    taskflow_clock.advance(1)
    assert count(url) == (0, 0, 0)
    assert take(url, MaxNumberOfMessages=10) == []


# ---- the query protocol -------------------------------------------------------------------------
def test_receive_and_delete_in_the_query_protocol(
    sqs: Any, make_queue: Make, query: Query, count: Count
) -> None:
    url = make_queue()
    attributes = {"Foo": {"DataType": "String", "StringValue": "Bar"}}
    sqs.send_message(QueueUrl=url, MessageBody="<message>", MessageAttributes=attributes)
    fields = {"AttributeName.1": "ApproximateReceiveCount", "MessageAttributeName.1": "All"}
    found = query("ReceiveMessage", fields, QueueUrl=url).xml
    assert found["Body"] == "<message>"
    assert found["MD5OfBody"] == "08ac6462d63b53f5b66bedae5823c24c"
    assert found["MD5OfMessageAttributes"] == "ae7155c6026991b6d54b11589678bf9c"
    assert (found["DataType"], found["StringValue"]) == ("String", "Bar")
    assert "Message" not in query("ReceiveMessage", QueueUrl=url).xml
    answer = query("DeleteMessage", QueueUrl=url, ReceiptHandle=found["ReceiptHandle"])
    assert answer.status == 200
    assert count(url) == (0, 0, 0)
    answer = query("DeleteMessage", QueueUrl=url, ReceiptHandle="x")
    assert (answer.status, answer.xml["Code"]) == (404, "ReceiptHandleIsInvalid")
