"""FIFO and fair queues over the wire: groups, deduplication, attempts, sequence numbers."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from taskflow.testing import ManualClock

Make = Callable[..., str]
Refused = Callable[..., tuple[str, str, str]]
Query = Callable[..., Any]


def invalid(text: str) -> tuple[str, str, str]:
    return "InvalidParameterValue", "InvalidParameterValueException", text


@pytest.fixture
def url(make_queue: Make) -> str:
    return make_queue("work.fifo")


@pytest.fixture
def send(sqs: Any, url: str) -> Callable[..., Any]:
    """Send by name: the first letter is the group, the whole is body and deduplication id."""

    def send(*names: str, **more: Any) -> list[Any]:
        return [
            sqs.send_message(
                **{"QueueUrl": url, "MessageBody": name, "MessageGroupId": name[0]}
                | {"MessageDeduplicationId": name}
                | more
            )
            for name in names
        ]

    return send


Send = Callable[..., Any]


@pytest.fixture
def take(sqs: Any, url: str) -> Callable[..., dict[str, str]]:
    """Receive up to ten; handles by body, in order."""

    def take(limit: int = 10, **more: Any) -> dict[str, str]:
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=limit, **more)
        return {one["Body"]: one["ReceiptHandle"] for one in found.get("Messages", [])}

    return take


Take = Callable[..., dict[str, str]]


@pytest.fixture
def hide(sqs: Any, url: str) -> Callable[[str, int], Any]:
    return lambda handle, seconds: sqs.change_message_visibility(
        QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=seconds
    )


Hide = Callable[[str, int], Any]


# ---- groups -------------------------------------------------------------------------------------
def test_one_receive_may_lend_several_of_a_group_in_order(send: Send, take: Take) -> None:
    send("a1", "b1", "a2", "a3")
    assert [*take()] in (["a1", "a2", "a3", "b1"], ["b1", "a1", "a2", "a3"])
    assert take() == {}


def test_a_message_in_flight_keeps_back_its_group_alone(
    sqs: Any, url: str, send: Send, take: Take
) -> None:
    send("a1", "a2", "b1")
    held = take(1)
    send("a3")  # does not let the group through
    assert [*held] == ["a1"]
    assert [*take()] == ["b1"]
    assert take() == {}
    sqs.delete_message(QueueUrl=url, ReceiptHandle=held["a1"])
    assert [*take()] == ["a2", "a3"]


def test_an_extended_first_message_keeps_later_ones_back(
    send: Send, take: Take, hide: Hide, taskflow_clock: ManualClock
) -> None:
    send("a1", "a2")
    hide(take()["a1"], 100)
    taskflow_clock.advance(60)  # a2 is visible again by itself
    assert take() == {}
    taskflow_clock.advance(40)
    assert [*take()] == ["a1", "a2"]


def test_giving_one_back_opens_the_group_up_to_the_next_hidden_one(
    send: Send, take: Take, hide: Hide
) -> None:
    send("a1", "a2", "a3")
    held = take(2)
    hide(held["a1"], 0)
    assert [*take()] == ["a1"]
    hide(held["a2"], 0)
    assert take() == {}


def test_a_delay_of_the_queue_holds_for_messages_already_there(
    sqs: Any, url: str, send: Send, take: Take, taskflow_clock: ManualClock
) -> None:
    send("a1")
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "10"})
    send("b1", DelaySeconds=0)  # nought may be said, and says nothing
    assert take() == {}
    taskflow_clock.advance(10)
    assert sorted(take()) == ["a1", "b1"]


# ---- deduplication ------------------------------------------------------------------------------
def test_a_duplicate_is_the_first_one_again_for_five_minutes(
    sqs: Any, url: str, send: Send, take: Take, taskflow_clock: ManualClock
) -> None:
    (first,) = send("a1")
    sqs.delete_message(QueueUrl=url, ReceiptHandle=take()["a1"])
    taskflow_clock.advance(299)
    attributes = {"Foo": {"DataType": "String", "StringValue": "Bar"}}
    (again,) = send("a1", MessageBody="message", MessageAttributes=attributes, MessageGroupId="b")
    assert again["MessageId"] == first["MessageId"]
    assert again["SequenceNumber"] == first["SequenceNumber"]
    assert again["MD5OfMessageBody"] == "78e731027d8fd50ed642340b7c9a63b3"
    assert again["MD5OfMessageAttributes"] == "ae7155c6026991b6d54b11589678bf9c"
    assert take() == {}
    taskflow_clock.advance(1)
    (new,) = send("a1")
    assert new["MessageId"] != first["MessageId"]
    assert [*take()] == ["a1"]


def test_a_purge_forgets_what_was_seen(sqs: Any, url: str, send: Send, take: Take) -> None:
    send("a1")
    sqs.purge_queue(QueueUrl=url)
    send("a1")
    assert [*take()] == ["a1"]


@pytest.mark.parametrize(("scope", "kept"), [("queue", 1), ("messageGroup", 2)])
def test_the_scope_of_deduplication(
    sqs: Any, url: str, send: Send, take: Take, scope: str, kept: int
) -> None:
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"DeduplicationScope": scope})
    send("a", "b", MessageDeduplicationId="same")
    assert len(take()) == kept


def test_content_makes_the_id(sqs: Any, make_queue: Make) -> None:
    url = make_queue("content.fifo", ContentBasedDeduplication="true")
    given = {"QueueUrl": url, "MessageGroupId": "g"}
    attributes = {"Foo": {"DataType": "String", "StringValue": "Bar"}}
    first = sqs.send_message(MessageBody="a", **given)
    assert (
        first["MessageId"]
        == sqs.send_message(MessageBody="a", MessageAttributes=attributes, **given)["MessageId"]
    )
    sqs.send_message(MessageBody="a", MessageDeduplicationId="own", **given)
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"])
    ids = [one["Attributes"]["MessageDeduplicationId"] for one in found["Messages"]]
    assert ids == [sha256(b"a").hexdigest(), "own"]


# ---- sequence numbers and attributes ------------------------------------------------------------
def test_sequence_numbers_rise(sqs: Any, url: str, send: Send) -> None:
    sent = send("a1", "b1", "a2")
    entries = [
        {"Id": id, "MessageBody": id, "MessageGroupId": "a", "MessageDeduplicationId": id}
        for id in ("a3", "a4", "a3-again")
    ]
    entries[2]["MessageDeduplicationId"] = "a3"
    batch = sqs.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]
    assert batch[2]["SequenceNumber"] == batch[0]["SequenceNumber"]
    numbers = [one["SequenceNumber"] for one in (*sent, *batch[:2])]
    assert numbers == sorted(set(numbers))
    assert {len(number) for number in numbers} == {20}
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"])
    shown = {one["Attributes"]["SequenceNumber"] for one in found["Messages"]}
    assert shown == set(numbers)


def test_what_a_fifo_message_shows(sqs: Any, url: str, send: Send) -> None:
    (sent,) = send("a1")
    (found,) = sqs.receive_message(QueueUrl=url, AttributeNames=["All"])["Messages"]
    assert found["Attributes"] == {
        "SenderId": "TF1",
        "SentTimestamp": "1800000000000",
        "ApproximateReceiveCount": "1",
        "ApproximateFirstReceiveTimestamp": "1800000000000",
        "SequenceNumber": sent["SequenceNumber"],
        "MessageDeduplicationId": "a1",
        "MessageGroupId": "a",
    }


# ---- refused ------------------------------------------------------------------------------------
NO_ID = (
    "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId "
    "provided explicitly"
)


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        (
            {"MessageDeduplicationId": "d"},
            (
                "MissingParameter",
                "MissingRequiredParameterException",
                "The request must contain the parameter MessageGroupId.",
            ),
        ),
        ({"MessageGroupId": "g"}, invalid(NO_ID)),
        (
            {"MessageGroupId": "g", "MessageDeduplicationId": "d", "DelaySeconds": 2},
            invalid(
                "Value 2 for parameter DelaySeconds is invalid. Reason: The request include "
                "parameter that is not valid for this queue type."
            ),
        ),
        (
            {"MessageGroupId": "g", "MessageDeduplicationId": "a b"},
            invalid(
                "Value a b for parameter MessageDeduplicationId is invalid. Reason: "
                "MessageDeduplicationId can only include alphanumeric and punctuation characters. "
                "1 to 128 in length."
            ),
        ),
    ],
)
def test_what_fifo_needs(
    sqs: Any, url: str, refused: Refused, query: Query, given: dict[str, Any], answer: Any
) -> None:
    assert refused(sqs.send_message, QueueUrl=url, MessageBody="a", **given) == answer
    found = query("SendMessage", QueueUrl=url, MessageBody="a", **given).xml
    assert (found["Code"], found["Message"]) == (answer[0], answer[2])


def test_an_expired_handle_deletes_nothing(
    sqs: Any, url: str, send: Send, take: Take, refused: Refused, taskflow_clock: ManualClock
) -> None:
    send("a1")
    handle = take()["a1"]
    taskflow_clock.advance(30)
    reason = "The receipt handle has expired."
    answer = invalid(f"Value {handle} for parameter ReceiptHandle is invalid. Reason: {reason}")
    assert refused(sqs.delete_message, QueueUrl=url, ReceiptHandle=handle) == answer
    entries = [{"Id": "a", "ReceiptHandle": handle}]
    (failed,) = sqs.delete_message_batch(QueueUrl=url, Entries=entries)["Failed"]
    assert (failed["Code"], failed["Message"]) == (answer[0], answer[2])
    new = take()["a1"]
    assert refused(sqs.delete_message, QueueUrl=url, ReceiptHandle=handle) == answer
    for _ in range(2):
        sqs.delete_message(QueueUrl=url, ReceiptHandle=new)


# ---- attempts -----------------------------------------------------------------------------------
def test_an_attempt_is_repeated_with_the_same_handles(
    send: Send, take: Take, taskflow_clock: ManualClock
) -> None:
    send("a1", "a2", "b1")
    again = {"ReceiveRequestAttemptId": "try-1"}
    held = take(2, **again)
    taskflow_clock.advance(20)
    assert take(2, **again) == held  # hidden anew from now
    taskflow_clock.advance(29)
    assert not set(take()) & set(held)
    taskflow_clock.advance(1)
    assert set(take()) >= set(held)


@pytest.mark.parametrize("settle", ["delete", "hide"])
def test_an_attempt_whose_messages_were_touched_is_a_new_receive(
    sqs: Any, url: str, send: Send, take: Take, hide: Hide, settle: str
) -> None:
    send("a1", "b1")
    held = take(1, ReceiveRequestAttemptId="try-1")
    ((name, handle),) = held.items()
    if settle == "delete":
        sqs.delete_message(QueueUrl=url, ReceiptHandle=handle)
    else:
        hide(handle, 60)
    other = take(1, ReceiveRequestAttemptId="try-1")
    assert set(other) == {"a1", "b1"} - {name}


def test_a_bad_attempt_id(sqs: Any, url: str, make_queue: Make, refused: Refused) -> None:
    bad = {"ReceiveRequestAttemptId": "a b"}
    assert refused(sqs.receive_message, QueueUrl=url, **bad)[0] == "InvalidParameterValue"
    sqs.receive_message(QueueUrl=make_queue(), **bad)  # means nothing there
