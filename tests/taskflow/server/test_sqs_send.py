"""SendMessage over the wire: what comes back, sums, delays, groups, and what is refused."""

from collections.abc import Callable
from hashlib import md5
from typing import Any

import pytest

from taskflow.testing import ManualClock

Make = Callable[..., str]
Refused = Callable[..., tuple[str, str, str]]
Query = Callable[..., Any]

MOST = 1_048_576
TEXT = {"DataType": "String", "StringValue": "x"}
TRACE = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988"}}
NOT_HERE = "The request include parameter that is not valid for this queue type."
URL = "http://localhost:9324/000000000000/work"


def invalid(text: str) -> tuple[str, str, str]:
    return "InvalidParameterValue", "InvalidParameterValueException", text


def missing(name: str) -> tuple[str, str, str]:
    text = f"The request must contain the parameter {name}."
    return "MissingParameter", "MissingRequiredParameterException", text


# ---- what comes back ----------------------------------------------------------------------------
def test_a_plain_message_has_the_sum_of_its_body_alone(sqs: Any, make_queue: Make) -> None:
    sent = sqs.send_message(QueueUrl=make_queue(), MessageBody="message")
    del sent["ResponseMetadata"]
    assert len(sent.pop("MessageId")) == 36
    assert sent == {"MD5OfMessageBody": "78e731027d8fd50ed642340b7c9a63b3"}


# What AWS answered for these.
@pytest.mark.parametrize(
    ("attributes", "sum"),
    [
        (
            {
                "General": {"DataType": "String", "StringValue": "Kenobi"},
                "Hello": {"DataType": "String", "StringValue": "There"},
                "Help.Me": {"DataType": "String", "StringValue": "Me"},
            },
            "4c360f3fdafd970e05fae2f149d997f5",
        ),
        ({"Foo": {"DataType": "String", "StringValue": "Bar"}}, "ae7155c6026991b6d54b11589678bf9c"),
        (
            {
                "attr1": {
                    "DataType": "Binary",
                    "BinaryValue": b"traceparent\x1e00-774062d6c37081a5a0b9b5b88e30627c"
                    b"-2d2482211f6489da-01",
                }
            },
            "8cbe4db156db8a94db8b801b7addb984",
        ),
    ],
)
def test_the_sum_of_attributes(
    sqs: Any, make_queue: Make, attributes: dict[str, Any], sum: str
) -> None:
    url = make_queue()
    turned = dict(reversed(attributes.items()))
    sent = sqs.send_message(QueueUrl=url, MessageBody="a", MessageAttributes=turned)
    assert sent["MD5OfMessageAttributes"] == sum
    (found,) = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    assert found["MessageAttributes"] == attributes
    assert found["MD5OfMessageAttributes"] == sum


def test_a_trace_has_a_sum_of_its_own(sqs: Any, make_queue: Make) -> None:
    url = make_queue()
    sent = sqs.send_message(
        QueueUrl=url,
        MessageBody="a",
        MessageAttributes={"Foo": {"DataType": "String", "StringValue": "Bar"}},
        MessageSystemAttributes=TRACE,
    )
    assert sent["MD5OfMessageAttributes"] == "ae7155c6026991b6d54b11589678bf9c"
    parts = (b"AWSTraceHeader", b"String", b"Root=1-5759e988")
    name, kind, value = (len(part).to_bytes(4, "big") + part for part in parts)
    assert sent["MD5OfMessageSystemAttributes"] == md5(name + kind + b"\1" + value).hexdigest()
    asked = sqs.receive_message(QueueUrl=url, MessageSystemAttributeNames=["AWSTraceHeader"])
    assert asked["Messages"][0]["Attributes"] == {"AWSTraceHeader": "Root=1-5759e988"}


@pytest.mark.parametrize(
    "body",
    ["\t\n\r ", '"&quot;\r', "<a>&</a>", "é\ud7ff\ue000\ufffd\U0001f600", "0", "\u0085\u2028"],
)
def test_a_body_arrives_as_it_was_sent(sqs: Any, make_queue: Make, query: Query, body: str) -> None:
    url = make_queue()
    sqs.send_message(QueueUrl=url, MessageBody=body)
    query("SendMessage", QueueUrl=url, MessageBody=body)
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert [one["Body"] for one in found] == [body, body]


# ---- delays and groups --------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("default", "given", "delay"), [(0, 900, 900), (20, None, 20), (20, 0, 0), (20, 5, 5)]
)
def test_the_delay_of_a_message_goes_before_that_of_its_queue(
    sqs: Any, make_queue: Make, taskflow_clock: ManualClock, default: int, given: Any, delay: int
) -> None:
    url = make_queue(DelaySeconds=default)
    more = {} if given is None else {"DelaySeconds": given}
    sqs.send_message(QueueUrl=url, MessageBody="a", **more)
    if delay:
        taskflow_clock.advance(delay - 1)
        assert "Messages" not in sqs.receive_message(QueueUrl=url)
        taskflow_clock.advance(1)
    assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "a"


@pytest.mark.parametrize("delay", [-1, 901])
def test_a_delay_out_of_bounds(sqs: Any, make_queue: Make, refused: Refused, delay: int) -> None:
    answer = refused(sqs.send_message, QueueUrl=make_queue(), MessageBody="a", DelaySeconds=delay)
    text = f"Value {delay} for parameter DelaySeconds is invalid. Reason: "
    assert answer == invalid(f"{text}DelaySeconds must be >= 0 and <= 900.")


@pytest.mark.parametrize("group", ["g", "!~" * 64])
def test_a_group_on_a_standard_queue_comes_back(sqs: Any, make_queue: Make, group: str) -> None:
    url = make_queue()
    sent = sqs.send_message(QueueUrl=url, MessageBody="a", MessageGroupId=group)
    assert "SequenceNumber" not in sent
    asked = sqs.receive_message(QueueUrl=url, AttributeNames=["MessageGroupId"])
    assert asked["Messages"][0]["Attributes"] == {"MessageGroupId": group}


@pytest.mark.parametrize("queue", ["work", "work.fifo"])
@pytest.mark.parametrize("group", ["", "a b", "é", "x" * 129])
def test_a_bad_group(sqs: Any, make_queue: Make, refused: Refused, queue: str, group: str) -> None:
    url = make_queue(queue, **({"ContentBasedDeduplication": "true"} if "." in queue else {}))
    answer = refused(sqs.send_message, QueueUrl=url, MessageBody="a", MessageGroupId=group)
    assert answer == invalid(
        f"Value {group} for parameter MessageGroupId is invalid. Reason: MessageGroupId can only "
        "include alphanumeric and punctuation characters. 1 to 128 in length."
    )


def test_a_deduplication_id_on_a_standard_queue(
    sqs: Any, make_queue: Make, refused: Refused
) -> None:
    given = {"MessageBody": "a", "MessageGroupId": "g", "MessageDeduplicationId": "d"}
    answer = refused(sqs.send_message, QueueUrl=make_queue(), **given)
    assert answer == invalid(
        f"Value d for parameter MessageDeduplicationId is invalid. Reason: {NOT_HERE}"
    )


# ---- refused bodies -----------------------------------------------------------------------------
def test_an_empty_body(sqs: Any, make_queue: Make, refused: Refused) -> None:
    answer = refused(sqs.send_message, QueueUrl=make_queue(), MessageBody="")
    assert answer == missing("MessageBody")


@pytest.mark.parametrize("body", ["\0", "a\x0b", "\x1f", "\ufffe", "\uffff"])
def test_forbidden_characters(sqs: Any, make_queue: Make, refused: Refused, body: str) -> None:
    code, shape, _ = refused(sqs.send_message, QueueUrl=make_queue(), MessageBody=body)
    assert code == shape == "InvalidMessageContents"


def too_large(limit: int) -> tuple[str, str, str]:
    text = (
        f"One or more parameters are invalid. Reason: Message must be shorter than {limit} bytes."
    )
    return invalid(text)


@pytest.mark.parametrize(
    ("limit", "fits", "attributes"),
    [
        (MOST, MOST, {}),
        (MOST, MOST - 8, {"k": TEXT}),  # k, String, x
        (1024, 1024, {}),
        (1024, 1016, {"k": TEXT}),
    ],
)
def test_body_and_attributes_count(
    sqs: Any, make_queue: Make, refused: Refused, limit: int, fits: int, attributes: dict[str, Any]
) -> None:
    url = make_queue(MaximumMessageSize=limit)
    given = {"QueueUrl": url, "MessageAttributes": attributes}
    sqs.send_message(MessageBody="a" * fits, **given)
    assert refused(sqs.send_message, MessageBody="a" * (fits + 1), **given) == too_large(limit)
    text = "é" * (fits // 2)
    sqs.send_message(MessageBody=text, **given)
    assert refused(sqs.send_message, MessageBody=text + "é", **given) == too_large(limit)


# ---- refused attributes -------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("a", {"DataType": "String", "StringValue": ""}, "must contain a non-empty value of type"),
        ("a", {"DataType": "String"}, "must contain a non-empty value of type 'String'"),
        ("a", {"DataType": "", "StringValue": "x"}, "non-empty message attribute type"),
        ("a", {"DataType": "Text", "StringValue": "x"}, "supported type prefixes"),
        ("a", {"DataType": "Number", "StringValue": "x"}, "Can't cast the value"),
        ("a", {"DataType": "Binary", "StringValue": "x"}, "must use field 'Binary'"),
        ("a", {"DataType": "String", "StringValue": "\0"}, "Invalid binary character '#x0'"),
        ("", TEXT, "non-empty message attribute name"),
        ("AWS.a", TEXT, "reserved for internal use"),
        (".a", TEXT, "cannot start or end with '.'"),
        ("a$b", TEXT, "can only contain"),
        ("a" * 257, TEXT, "shorter than 256 Bytes"),
    ],
)
def test_bad_attributes(
    sqs: Any, make_queue: Make, refused: Refused, name: str, value: dict[str, str], text: str
) -> None:
    given = {"MessageBody": "a", "MessageAttributes": {"good": TEXT, name: value}}
    code, _, message = refused(sqs.send_message, QueueUrl=make_queue(), **given)
    assert code == "InvalidParameterValue"
    assert text in message


def test_ten_attributes_are_enough(sqs: Any, make_queue: Make, refused: Refused) -> None:
    url = make_queue()
    given = {f"a{number}": TEXT for number in range(11)}
    answer = refused(sqs.send_message, QueueUrl=url, MessageBody="a", MessageAttributes=given)
    text = "Number of message attributes [11] exceeds the allowed maximum [10]."
    assert answer == invalid(text)
    del given["a0"]
    sqs.send_message(QueueUrl=url, MessageBody="a", MessageAttributes=given)


@pytest.mark.parametrize(
    "given",
    [
        {"Other": {"DataType": "String", "StringValue": "x"}},
        {"AWSTraceHeader": {"DataType": "Number", "StringValue": "1"}},
        {"AWSTraceHeader": {"DataType": "String", "StringValue": ""}},
    ],
)
def test_bad_system_attributes(
    sqs: Any, make_queue: Make, refused: Refused, given: dict[str, Any]
) -> None:
    more = {"MessageBody": "a", "MessageSystemAttributes": given}
    code, _, text = refused(sqs.send_message, QueueUrl=make_queue(), **more)
    assert code == "InvalidParameterValue"
    assert "AWSTraceHeader" in text


# ---- the query protocol -------------------------------------------------------------------------
def test_send_in_the_query_protocol(make_queue: Make, query: Query) -> None:
    make_queue()
    fields = {"MessageAttribute.1.Name": "Foo", "MessageAttribute.1.Value.DataType": "String"}
    fields |= {"MessageAttribute.1.Value.StringValue": "Bar"}
    answer = query("SendMessage", fields, QueueUrl=URL, MessageBody="message")
    assert answer.xml["MD5OfMessageBody"] == "78e731027d8fd50ed642340b7c9a63b3"
    assert answer.xml["MD5OfMessageAttributes"] == "ae7155c6026991b6d54b11589678bf9c"
    assert "SequenceNumber" not in answer.xml
    assert "MD5OfMessageAttributes" not in query("SendMessage", QueueUrl=URL, MessageBody="a").xml
    answer = query("SendMessage", QueueUrl=URL, MessageBody="")
    assert (answer.status, answer.xml["Code"]) == (400, "MissingParameter")
