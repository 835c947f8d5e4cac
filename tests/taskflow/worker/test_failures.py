"""What ends in the dead letters, with its failure record, while the worker goes on."""

import json
from collections.abc import Callable

import pytest

from taskflow import Broker, Reject, Worker, publish
from taskflow.message import FAILURE, Message, plain_text
from taskflow.testing import ManualClock
from tests.taskflow.making import Handler, failure

Work = Callable[..., Worker]


def test_the_failure_record_says_what_happened(
    work: Work, taskflow_broker: Broker, taskflow_clock: ManualClock
) -> None:
    worker = work(Handler(failures=9))
    start = taskflow_clock.now()
    event_id = publish("made", {"order_id": "o1"}, delay=5)
    for _ in range(9):
        worker.drain()
        taskflow_clock.advance(1)
    (letter,) = taskflow_broker.peek("work-dlq")
    record = failure(taskflow_broker)
    assert (letter.id, letter.topic) == (event_id, "made")
    traceback = record.pop("traceback")
    assert traceback.startswith("Traceback")
    assert traceback.endswith("ValueError: no such order\n")
    place, line = record.pop("place").split(":")
    assert (place, line.endswith(" in __call__")) == ("taskflow/making.py", True)
    assert record == {
        "reason": "failed 3 times",
        "error": "ValueError",
        "message": "no such order",
        "handler": "tests.taskflow.making.Handler",
        "topic": "made",
        "queue": "work",
        "attempts": 3,
        "sent_at": start,
        "first_received_at": start + 5,
        "failed_at": start + 8,
    }


@pytest.mark.parametrize("error", [SystemExit(1), BaseException("odd"), GeneratorExit()])
def test_a_handler_that_tries_to_leave_is_dead_lettered_and_the_worker_goes_on(
    work: Work, taskflow_broker: Broker, error: BaseException
) -> None:
    worker = work(handler := Handler(failures=1, error=error), retries=0, policy=None)
    publish("made", 1, id="e1")
    publish("made", 2, id="e2")
    worker.drain()
    assert handler.attempts == [1, 1]
    assert failure(taskflow_broker)["error"] == type(error).__name__


def test_a_rejected_event_is_dead_lettered_at_once(work: Work, taskflow_broker: Broker) -> None:
    worker = work(Handler(failures=1, error=Reject("fraud")))
    publish("made", 1)
    worker.drain()
    assert failure(taskflow_broker)["reason"] == "fraud"


def test_an_exception_without_a_text_is_dead_lettered_too(
    work: Work, taskflow_broker: Broker
) -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    worker = work(Handler(failures=1, error=Odd()), retries=0, policy=None)
    publish("made", 1)
    worker.drain()
    assert failure(taskflow_broker)["message"] == "<its __str__ failed>"


def test_a_payload_that_does_not_fit_is_dead_lettered_and_the_worker_goes_on(
    work: Work, taskflow_broker: Broker
) -> None:
    seen: list[int] = []

    def handle(count: int) -> None:
        seen.append(count)

    worker = work(handle)
    publish("made", "secret")
    publish("made", 2)
    worker.drain()
    assert seen == [2]
    record = failure(taskflow_broker)
    assert record["reason"] == "the payload does not fit: Expected `int`, got `str`"
    assert "secret" not in json.dumps(record)


def test_a_body_that_is_no_event_is_dead_lettered(work: Work, taskflow_broker: Broker) -> None:
    worker = work(Handler())
    taskflow_broker.send("work", [Message("1", "[" * 100_000)])
    taskflow_broker.publish("made", [Message("2", "hello")])
    worker.drain()
    reasons = [
        json.loads(plain_text(letter.attributes[FAILURE]))["reason"]
        for letter in taskflow_broker.peek("work-dlq")
    ]
    assert len(reasons) == 2
    assert all("no CloudEvents JSON" in reason for reason in reasons)


def test_a_topic_without_a_handler_ends_in_the_dead_letters_with_the_reason(
    work: Work, taskflow_broker: Broker, taskflow_clock: ManualClock
) -> None:
    worker = work(Handler(), retries=0, policy=None)
    taskflow_broker.create_topic("lost")
    taskflow_broker.subscribe("lost", "work")
    publish("lost", 1)
    for _ in range(9):
        worker.drain()
        taskflow_clock.advance(10)
    record = failure(taskflow_broker)
    assert record["error"] == "taskflow.errors.NoHandler"
    assert record["handler"] is None
    assert "is the module that subscribes it loaded?" in record["message"]
