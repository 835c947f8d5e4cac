"""The batches of SQS over the wire: what refuses all of one, and what only an entry of it."""

from collections.abc import Callable
from typing import Any

import pytest

Make = Callable[..., str]
Refused = Callable[..., tuple[str, str, str]]
Query = Callable[..., Any]

MOST = 1_048_576
FIELDS: dict[str, dict[str, Any]] = {
    "send_message_batch": {"MessageBody": "a"},
    "delete_message_batch": {"ReceiptHandle": "1.1"},
    "change_message_visibility_batch": {"ReceiptHandle": "1.1", "VisibilityTimeout": 1},
}
ENTRY = {
    "send_message_batch": "SendMessageBatchRequestEntry",
    "delete_message_batch": "DeleteMessageBatchRequestEntry",
    "change_message_visibility_batch": "ChangeMessageVisibilityBatchRequestEntry",
}
BAD_ID = (
    "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be "
    "at most 80 letters long."
)


def whole(shape: str, text: str) -> tuple[str, str, str]:
    return f"AWS.SimpleQueueService.{shape}", shape, text


def invalid(text: str) -> tuple[str, str, str]:
    return "InvalidParameterValue", "InvalidParameterValueException", text


def read(sqs: Any, url: str) -> list[dict[str, Any]]:
    return list(sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []))


# ---- what refuses all ---------------------------------------------------------------------------
@pytest.mark.parametrize("method", FIELDS)
@pytest.mark.parametrize(
    ("ids", "shape", "text"),
    [
        ([], "EmptyBatchRequest", "There should be at least one {} in the request."),
        (
            range(20),
            "TooManyEntriesInBatchRequest",
            "Maximum number of entries per request are 10. You have sent 20.",
        ),
        (["a", ""], "InvalidBatchEntryId", BAD_ID),
        (["a:b"], "InvalidBatchEntryId", BAD_ID),
        (["x" * 81], "InvalidBatchEntryId", BAD_ID),
        (["é"], "InvalidBatchEntryId", BAD_ID),
        (["a", "b", "b"], "BatchEntryIdsNotDistinct", "Id b repeated."),
        (["a", "b", "b", "a"], "BatchEntryIdsNotDistinct", "Id b repeated."),
    ],
)
def test_a_batch_that_is_refused(
    sqs: Any, make_queue: Make, refused: Refused, method: str, ids: Any, shape: str, text: str
) -> None:
    url = make_queue()
    entries = [{"Id": str(id), **FIELDS[method]} for id in ids]
    answer = refused(getattr(sqs, method), QueueUrl=url, Entries=entries)
    assert answer == whole(shape, text.format(ENTRY[method]))
    assert read(sqs, url) == []


@pytest.mark.parametrize(
    "sizes", [(MOST, 1), (MOST + 1,), (MOST // 2, MOST // 2 + 1), (MOST // 10 + 1,) * 10]
)
@pytest.mark.parametrize("attributes", [{}, {"k": {"DataType": "String", "StringValue": "x"}}])
def test_a_batch_is_a_mebibyte_in_all(
    sqs: Any, make_queue: Make, refused: Refused, sizes: tuple[int, ...], attributes: dict[str, Any]
) -> None:
    url = make_queue()
    extra = 8 if attributes else 0
    entries: list[dict[str, Any]] = [
        {"Id": str(i), "MessageBody": "a" * size} for i, size in enumerate(sizes)
    ]
    entries[0]["MessageBody"] = entries[0]["MessageBody"][extra:]
    entries[0]["MessageAttributes"] = attributes
    answer = refused(sqs.send_message_batch, QueueUrl=url, Entries=entries)
    text = f"Batch requests cannot be longer than {MOST} bytes. You have sent {sum(sizes)} bytes."
    assert answer == whole("BatchRequestTooLong", text)
    entries[-1]["MessageBody"] = entries[-1]["MessageBody"][sum(sizes) - MOST :]
    entries = [entry for entry in entries if entry["MessageBody"]]
    assert "Failed" not in sqs.send_message_batch(QueueUrl=url, Entries=entries)
    assert len(read(sqs, url)) == len(entries)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("MessageGroupId", "The request must contain the parameter MessageGroupId."),
        (
            "MessageDeduplicationId",
            "The queue should either have ContentBasedDeduplication enabled or "
            "MessageDeduplicationId provided explicitly",
        ),
    ],
)
def test_one_entry_without_what_fifo_needs_refuses_all(
    sqs: Any, make_queue: Make, refused: Refused, field: str, text: str
) -> None:
    url = make_queue("work.fifo")
    entries = [
        {"Id": id, "MessageBody": id, "MessageGroupId": "g", "MessageDeduplicationId": id}
        for id in ("a", "b")
    ]
    del entries[1][field]
    answer = refused(sqs.send_message_batch, QueueUrl=url, Entries=entries)
    assert answer == invalid(text)
    assert read(sqs, url) == []


# ---- what refuses an entry ----------------------------------------------------------------------
@pytest.mark.parametrize(
    ("bad", "code", "text"),
    [
        (
            {"MessageBody": ""},
            "MissingParameter",
            "The request must contain the parameter MessageBody.",
        ),
        ({"MessageBody": "\0"}, "InvalidMessageContents", "Invalid characters found."),
        (
            {"MessageBody": "a" * 1025},
            "InvalidParameterValue",
            "One or more parameters cannot be validated. Reason: Message must be shorter than 1024 "
            "bytes.",
        ),
        ({"DelaySeconds": 901}, "InvalidParameterValue", "Value 901 for parameter DelaySeconds"),
        ({"DelaySeconds": 60}, "InvalidParameterValue", "Value 60 for parameter DelaySeconds"),
        (
            {"MessageDeduplicationId": "d"},
            "InvalidParameterValue",
            "Value d for parameter MessageDeduplicationId is invalid.",
        ),
        (
            {"MessageAttributes": {"a": {"DataType": "Nothing", "StringValue": "x"}}},
            "InvalidParameterValue",
            "The type of message (user) attribute 'a' is invalid.",
        ),
    ],
)
def test_a_bad_entry_fails_alone(
    sqs: Any, make_queue: Make, bad: dict[str, Any], code: str, text: str
) -> None:
    url = make_queue(MaximumMessageSize=1024, MessageRetentionPeriod=60)
    entries = [
        {"Id": "one", "MessageBody": "first"},
        {"Id": "two", "MessageBody": "bad", **bad},
        {"Id": "three", "MessageBody": "last"},
    ]
    answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
    (failed,) = answer["Failed"]
    assert failed.pop("Message").startswith(text)
    assert failed == {"Id": "two", "Code": code, "SenderFault": True}
    assert [one["Id"] for one in answer["Successful"]] == ["one", "three"]
    found = read(sqs, url)
    assert [one["Body"] for one in found] == ["first", "last"]
    ids = [one["MessageId"] for one in found]
    assert [one["MessageId"] for one in answer["Successful"]] == ids


def test_a_batch_may_fail_in_every_entry(sqs: Any, make_queue: Make) -> None:
    url = make_queue()
    answer = sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": "a", "MessageBody": ""}])
    assert not answer.get("Successful")
    assert [one["Id"] for one in answer["Failed"]] == ["a"]


def test_the_sums_of_a_batch(sqs: Any, make_queue: Make) -> None:
    attributes = {"Foo": {"DataType": "String", "StringValue": "Bar"}}
    entries = [
        {"Id": "a", "MessageBody": "message", "MessageAttributes": attributes},
        {"Id": "b", "MessageBody": "message"},
    ]
    answer = sqs.send_message_batch(QueueUrl=make_queue(), Entries=entries)
    assert "Failed" not in answer
    assert [{**one, "MessageId": ""} for one in answer["Successful"]] == [
        {
            "Id": "a",
            "MessageId": "",
            "MD5OfMessageBody": "78e731027d8fd50ed642340b7c9a63b3",
            "MD5OfMessageAttributes": "ae7155c6026991b6d54b11589678bf9c",
        },
        {"Id": "b", "MessageId": "", "MD5OfMessageBody": "78e731027d8fd50ed642340b7c9a63b3"},
    ]


# ---- deleting and hiding ------------------------------------------------------------------------
def test_deleting_a_batch_deletes_what_it_can(sqs: Any, make_queue: Make) -> None:
    url = make_queue()
    sqs.send_message_batch(
        QueueUrl=url, Entries=[{"Id": str(i), "MessageBody": str(i)} for i in range(3)]
    )
    handles = [one["ReceiptHandle"] for one in read(sqs, url)]
    wanted = {"a": handles[0], "b": "garbage", "c": handles[1], "d": handles[1]}
    answer = sqs.delete_message_batch(
        QueueUrl=url, Entries=[{"Id": id, "ReceiptHandle": one} for id, one in wanted.items()]
    )
    assert [one["Id"] for one in answer["Successful"]] == ["a", "c", "d"]
    text = 'The input receipt handle "garbage" is not a valid receipt handle.'
    assert answer["Failed"] == [
        {"Id": "b", "Code": "ReceiptHandleIsInvalid", "Message": text, "SenderFault": True}
    ]
    left = sqs.get_queue_attributes(
        QueueUrl=url, AttributeNames=["ApproximateNumberOfMessagesNotVisible"]
    )
    assert left["Attributes"] == {"ApproximateNumberOfMessagesNotVisible": "1"}


def test_hiding_a_batch_hides_what_it_can(sqs: Any, make_queue: Make) -> None:
    url = make_queue()
    for body in ("a", "b"):
        sqs.send_message(QueueUrl=url, MessageBody=body)
    first, second = (one["ReceiptHandle"] for one in read(sqs, url))
    sqs.delete_message(QueueUrl=url, ReceiptHandle=second)
    entries = [
        {"Id": "visible", "ReceiptHandle": first, "VisibilityTimeout": 0},
        {"Id": "gone", "ReceiptHandle": second, "VisibilityTimeout": 9},
        {"Id": "long", "ReceiptHandle": first, "VisibilityTimeout": 43201},
        {"Id": "bad", "ReceiptHandle": "x", "VisibilityTimeout": 9},
    ]
    answer = sqs.change_message_visibility_batch(QueueUrl=url, Entries=entries)
    assert [one["Id"] for one in answer["Successful"]] == ["visible"]
    assert [(one["Id"], one["Code"]) for one in answer["Failed"]] == [
        ("gone", "InvalidParameterValue"),
        ("long", "InvalidParameterValue"),
        ("bad", "ReceiptHandleIsInvalid"),
    ]
    assert [one["Body"] for one in read(sqs, url)] == ["a"]


# ---- the query protocol -------------------------------------------------------------------------
def test_batches_in_the_query_protocol(make_queue: Make, query: Query) -> None:
    url = make_queue()
    entry = "SendMessageBatchRequestEntry"
    fields = {f"{entry}.1.Id": "a", f"{entry}.1.MessageBody": "message"}
    answer = query("SendMessageBatch", fields, QueueUrl=url)
    assert answer.xml["MD5OfMessageBody"] == "78e731027d8fd50ed642340b7c9a63b3"
    assert "BatchResultErrorEntry" not in answer.xml
    answer = query("SendMessageBatch", fields | {f"{entry}.1.MessageBody": "\1"}, QueueUrl=url)
    assert answer.status == 200
    assert (answer.xml["Code"], answer.xml["SenderFault"]) == ("InvalidMessageContents", "true")
    answer = query("SendMessageBatch", QueueUrl=url)
    assert answer.status == 400
    assert answer.xml["Code"] == "AWS.SimpleQueueService.EmptyBatchRequest"
