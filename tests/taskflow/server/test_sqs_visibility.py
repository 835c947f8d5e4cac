"""Visibility over the wire: from when a change counts, how long, for whom; what is in flight."""

from collections.abc import Callable
from typing import Any

import pytest

from taskflow.brokers.stored import lending
from taskflow.testing import ManualClock

Make = Callable[..., str]
Refused = Callable[..., tuple[str, str, str]]
Query = Callable[..., Any]

GONE = "Message does not exist or is not available for visibility timeout change."
BOUNDS = "VisibilityTimeout must be an integer between 0 and 43200."
BEYOND = "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]"


def invalid(value: object, parameter: str, reason: str) -> tuple[str, str, str]:
    text = f"Value {value} for parameter {parameter} is invalid. Reason: {reason}"
    return "InvalidParameterValue", "InvalidParameterValueException", text


@pytest.fixture(params=["work", "work.fifo"])
def url(request: pytest.FixtureRequest, sqs: Any, make_queue: Make) -> str:
    """A queue of either kind, with one message."""
    url = make_queue(request.param)
    fifo = {"MessageGroupId": "g", "MessageDeduplicationId": "d"} if "." in request.param else {}
    sqs.send_message(QueueUrl=url, MessageBody="a", **fifo)
    return url


@pytest.fixture
def take(sqs: Any, url: str) -> Callable[..., str | None]:
    """Receive the message; answers its handle, None when it is hidden."""

    def take(**more: int) -> str | None:
        found = sqs.receive_message(QueueUrl=url, **more).get("Messages")
        return str(found[0]["ReceiptHandle"]) if found else None

    return take


Take = Callable[..., str | None]


@pytest.fixture
def hide(sqs: Any, url: str) -> Callable[[str | None, int], Any]:
    """Change how long a message is hidden."""
    return lambda handle, seconds: sqs.change_message_visibility(
        QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=seconds
    )


Hide = Callable[[str | None, int], Any]


@pytest.mark.parametrize(
    ("queue", "asked", "hidden"), [(30, {}, 30), (30, {"VisibilityTimeout": 5}, 5), (0, {}, 0)]
)
def test_a_receive_hides_as_long_as_it_or_the_queue_says(
    sqs: Any,
    url: str,
    take: Take,
    taskflow_clock: ManualClock,
    queue: int,
    asked: dict[str, int],
    hidden: int,
) -> None:
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(queue)})
    assert take(**asked)
    if hidden:
        taskflow_clock.advance(hidden - 1)
        assert take() is None
        taskflow_clock.advance(1)
    assert take()


@pytest.mark.parametrize("seconds", [1, 10, 40])
def test_a_change_counts_from_the_call(
    take: Take, hide: Hide, taskflow_clock: ManualClock, seconds: int
) -> None:
    handle = take()
    taskflow_clock.advance(20)
    hide(handle, seconds)
    taskflow_clock.advance(seconds - 1)
    assert take() is None
    taskflow_clock.advance(1)
    assert take()


def test_no_seconds_make_it_visible_at_once(take: Take, hide: Hide) -> None:
    handle = take()
    hide(handle, 0)
    assert take() not in (None, handle)


def test_twelve_hours_in_all(
    url: str, take: Take, hide: Hide, sqs: Any, refused: Refused, taskflow_clock: ManualClock
) -> None:
    handle = take()
    assert handle is not None
    hide(handle, 43200)
    taskflow_clock.advance(3600)
    change = {"QueueUrl": url, "ReceiptHandle": handle}
    answer = refused(sqs.change_message_visibility, VisibilityTimeout=39601, **change)
    assert answer == invalid(39601, "VisibilityTimeout", BEYOND)
    hide(handle, 39600)
    for seconds in (43201, -1):
        answer = refused(sqs.change_message_visibility, VisibilityTimeout=seconds, **change)
        assert answer == invalid(seconds, "VisibilityTimeout", BOUNDS)


def test_a_message_that_is_visible_stays_so(
    url: str, take: Take, sqs: Any, refused: Refused, taskflow_clock: ManualClock
) -> None:
    handle = take()
    taskflow_clock.advance(30)
    change = {"QueueUrl": url, "ReceiptHandle": handle, "VisibilityTimeout": 9}
    if url.endswith(".fifo"):
        code, shape, _ = refused(sqs.change_message_visibility, **change)
        assert (code, shape) == ("AWS.SimpleQueueService.MessageNotInflight", "MessageNotInflight")
    else:
        sqs.change_message_visibility(**change)
    assert take()


def test_a_deleted_message_and_an_old_handle(
    url: str, take: Take, hide: Hide, sqs: Any, refused: Refused
) -> None:
    old = take()
    hide(old, 0)
    handle = take()
    change = {"QueueUrl": url, "VisibilityTimeout": 0}
    if url.endswith(".fifo"):
        answer = refused(sqs.change_message_visibility, ReceiptHandle=old, **change)
        assert answer == invalid(old, "ReceiptHandle", GONE)
    else:  # an older handle does as well
        sqs.change_message_visibility(ReceiptHandle=old, **change)
        handle = take()
    sqs.delete_message(QueueUrl=url, ReceiptHandle=handle)
    answer = refused(sqs.change_message_visibility, ReceiptHandle=handle, **change)
    assert answer == invalid(handle, "ReceiptHandle", GONE)


def test_a_change_in_the_query_protocol(url: str, take: Take, query: Query) -> None:
    fields = {"QueueUrl": url, "ReceiptHandle": take(), "VisibilityTimeout": "0"}
    assert query("ChangeMessageVisibility", fields).status == 200
    assert take()
    answer = query("ChangeMessageVisibility", fields | {"VisibilityTimeout": "43201"})
    assert (answer.status, answer.xml["Code"]) == (400, "InvalidParameterValue")


# ---- how many may be in flight, and whose ------------------------------------------------------
@pytest.mark.parametrize("wait", [0, 20])
def test_too_many_in_flight_of_a_standard_queue(
    sqs: Any, make_queue: Make, refused: Refused, monkeypatch: pytest.MonkeyPatch, wait: int
) -> None:
    monkeypatch.setattr(lending, "MAX_IN_FLIGHT", 1)
    url = make_queue()
    for body in ("a", "b"):
        sqs.send_message(QueueUrl=url, MessageBody=body)
    sqs.receive_message(QueueUrl=url)
    code, shape, _ = refused(sqs.receive_message, QueueUrl=url, WaitTimeSeconds=wait)
    assert (code, shape) == ("OverLimit", "OverLimit")


def test_too_many_in_flight_of_a_fifo_queue(
    sqs: Any, make_queue: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lending, "MAX_IN_FLIGHT", 1)
    url = make_queue("work.fifo", ContentBasedDeduplication="true")
    for body in ("a", "b"):
        sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=body)
    assert len(sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]) == 1
    assert "Messages" not in sqs.receive_message(QueueUrl=url)


def test_a_quiet_group_goes_before_a_noisy_one(sqs: Any, make_queue: Make) -> None:
    url = make_queue()

    def send(group: str, count: int) -> None:
        for _ in range(count):
            sqs.send_message(QueueUrl=url, MessageBody=group, MessageGroupId=group)

    def take() -> list[str]:
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        return [one["Body"] for one in found["Messages"]]

    send("noisy", 41)
    for _ in range(3):
        assert take() == ["noisy"] * 10
    send("quiet", 2)
    assert take() == ["quiet", "quiet"] + ["noisy"] * 8
