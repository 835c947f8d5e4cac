"""Long polls over the wire: what wakes one and who, without looking in between."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from itertools import islice
from typing import Any

import pytest

from taskflow.message import Message
from taskflow.server.app import App
from taskflow.server.backend import Backend
from taskflow.server.waiting import LOOK_AGAIN
from taskflow.testing import ManualClock
from tests.taskflow.server.wire import HOST, JSON, Answer, ask, make_app, make_scope

Make = Callable[..., str]
Run = Callable[..., Any]
HEADERS = (HOST, JSON, ("x-amz-target", "AmazonSQS.ReceiveMessage"))
URL = "http://localhost:9324/000000000000/"


async def do_nothing() -> None:
    """What was put on the loop before has run when this has."""


@pytest.fixture
def parked(backend: Backend, run: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Wait until so many polls more have parked."""
    arrivals = threading.Semaphore(0)
    park = backend.waiting.park

    async def noted(*args: Any) -> None:
        arrivals.release()
        await park(*args)

    def wait(count: int = 1) -> None:
        for _ in range(count):
            assert arrivals.acquire(timeout=30)
        run(do_nothing())

    monkeypatch.setattr(backend.waiting, "park", noted)
    return wait


Parked = Callable[..., None]


@pytest.fixture
def looks(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The queues that were looked into, in order."""
    looks: list[str] = []
    receive = backend.broker.receive

    def noted(queue: str, **more: Any) -> Any:
        looks.append(queue)
        return receive(queue, **more)

    monkeypatch.setattr(backend.broker, "receive", noted)
    return looks


@pytest.fixture
def poll(sqs: Any, backend: Backend, run: Run) -> Iterator[Callable[..., Future[list[str]]]]:
    """Begin a receive in another thread; the bodies it gets. Ended with the test."""

    def receive(params: dict[str, Any]) -> list[str]:
        params = {name: value for name, value in params.items() if value is not None}
        return [one["Body"] for one in sqs.receive_message(**params).get("Messages", [])]

    async def close() -> None:
        backend.waiting.close()

    with ThreadPoolExecutor(16) as pool:
        yield lambda url, **more: pool.submit(
            receive, {"QueueUrl": url, "WaitTimeSeconds": 20, "MaxNumberOfMessages": 10} | more
        )
        run(close())


Poll = Callable[..., "Future[list[str]]"]


# ---- what wakes a poll --------------------------------------------------------------------------
def test_a_send_wakes_a_poll_and_it_does_not_wait_for_more(
    sqs: Any, make_queue: Make, poll: Poll, parked: Parked, looks: list[str]
) -> None:
    url = make_queue()
    begun = poll(url)
    parked()
    sqs.send_message(QueueUrl=url, MessageBody="a")
    assert begun.result(30) == ["a"]
    assert looks == ["work"] * 2


def test_what_becomes_due_while_it_is_asked_what_is_due_next_is_received(
    sqs: Any,
    make_queue: Make,
    poll: Poll,
    backend: Backend,
    taskflow_clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = make_queue("work")
    sqs.send_message(QueueUrl=url, MessageBody="1", DelaySeconds=10)
    next_due = backend.broker.next_due

    def slow(*queues: str) -> float | None:
        taskflow_clock.advance(10)
        return next_due(*queues)

    monkeypatch.setattr(backend.broker, "next_due", slow)
    assert poll(url).result(timeout=30) == ["1"]


def test_what_is_there_is_answered_at_once(sqs: Any, make_queue: Make, poll: Poll) -> None:
    url = make_queue()
    sqs.send_message(QueueUrl=url, MessageBody="a")
    assert poll(url).result(30) == ["a"]


@pytest.mark.parametrize("seconds", [1, 4, 19])
@pytest.mark.parametrize("why", ["delay", "expiry", "hidden anew"])
def test_time_wakes_a_poll(
    sqs: Any,
    make_queue: Make,
    poll: Poll,
    parked: Parked,
    looks: list[str],
    taskflow_clock: ManualClock,
    why: str,
    seconds: int,
) -> None:
    url = make_queue()
    delay = {"DelaySeconds": seconds} if why == "delay" else {}
    sqs.send_message(QueueUrl=url, MessageBody="a", **delay)
    if why != "delay":
        first = {"expiry": seconds, "hidden anew": 600}[why]
        (found,) = sqs.receive_message(QueueUrl=url, VisibilityTimeout=first)["Messages"]
    looks.clear()
    begun = poll(url)
    parked()
    if why == "hidden anew":
        handle = found["ReceiptHandle"]
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=seconds)
        parked()  # it has looked, and waits for the new time
        looks.pop()
    for passed in range(seconds):
        assert not begun.done()
        assert len(looks) == 1 + int(passed // LOOK_AGAIN)  # nor looked in between
        taskflow_clock.advance(1)
        if (passed + 1) % LOOK_AGAIN == 0 and passed + 1 < seconds:
            parked()
    assert begun.result(30) == ["a"]


def test_a_deleted_message_lets_the_rest_of_its_group_through(
    sqs: Any, make_queue: Make, poll: Poll, parked: Parked
) -> None:
    url = make_queue("work.fifo", ContentBasedDeduplication="true")
    for body in ("a1", "a2"):
        sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId="a")
    (first,) = sqs.receive_message(QueueUrl=url)["Messages"]
    begun = poll(url)
    parked()
    sqs.delete_message(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
    assert begun.result(30) == ["a2"]


def test_a_dead_letter_wakes_a_poll_of_its_queue(
    sqs: Any, make_queue: Make, poll: Poll, parked: Parked
) -> None:
    dead = make_queue("dead")
    target = "arn:aws:sqs:us-east-1:000000000000:dead"
    policy = json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": 1})
    url = make_queue(RedrivePolicy=policy, VisibilityTimeout=0)
    sqs.send_message(QueueUrl=url, MessageBody="a")
    begun = poll(dead)
    parked()
    for _ in range(2):
        sqs.receive_message(QueueUrl=url)
    assert begun.result(30) == ["a"]


# ---- how long a poll waits ----------------------------------------------------------------------
@pytest.mark.parametrize(
    ("queue", "asked", "wait"), [(0, 3, 3), (3, None, 3), (20, 3, 3), (20, 0, 0), (0, None, 0)]
)
def test_the_request_goes_before_the_queue(
    make_queue: Make,
    poll: Poll,
    parked: Parked,
    looks: list[str],
    taskflow_clock: ManualClock,
    queue: int,
    asked: int | None,
    wait: int,
) -> None:
    url = make_queue(ReceiveMessageWaitTimeSeconds=queue)
    begun = poll(url, WaitTimeSeconds=asked)
    if wait:
        parked()
        taskflow_clock.advance(wait - 1)
        assert not begun.done()
        taskflow_clock.advance(1)
    assert begun.result(30) == []
    assert len(looks) == (2 if wait else 1)


# ---- who is woken -------------------------------------------------------------------------------
def test_one_message_wakes_one_poll(
    sqs: Any, make_queue: Make, poll: Poll, parked: Parked, looks: list[str]
) -> None:
    url = make_queue()
    begun = []
    for _ in range(5):
        begun.append(poll(url))
        parked()
    sqs.send_message(QueueUrl=url, MessageBody="a")
    assert begun[0].result(30) == ["a"]  # the one that waits longest
    parked()  # the next has looked for more
    assert len(looks) == 7
    assert not any(one.done() for one in begun[1:])


def test_one_due_message_wakes_one_poll(
    sqs: Any,
    make_queue: Make,
    poll: Poll,
    parked: Parked,
    looks: list[str],
    taskflow_clock: ManualClock,
) -> None:
    url = make_queue()
    sqs.send_message(QueueUrl=url, MessageBody="a", DelaySeconds=2)
    begun = [poll(url) for _ in range(5)]
    parked(5)
    taskflow_clock.advance(2)
    (first,) = islice(as_completed(begun, 30), 1)
    assert first.result() == ["a"]
    parked()  # the next has looked for more
    assert len(looks) == 7


def test_a_batch_goes_to_as_many_polls_as_it_feeds(
    sqs: Any, make_queue: Make, poll: Poll, parked: Parked, backend: Backend
) -> None:
    url = make_queue()
    begun = [poll(url, MaxNumberOfMessages=2) for _ in range(4)]
    parked(4)
    entries = [{"Id": str(i), "MessageBody": str(i)} for i in range(5)]
    sqs.send_message_batch(QueueUrl=url, Entries=entries)
    found = [one.result() for one in islice(as_completed(begun, 30), 3)]
    assert sorted(body for bodies in found for body in bodies) == list("01234")
    parked()
    assert backend.waiting.count() == 1


def test_other_queues_are_left_alone(
    sqs: Any, make_queue: Make, poll: Poll, parked: Parked, looks: list[str]
) -> None:
    url, other = make_queue(), make_queue("other")
    begun, waiting = poll(url), poll(other)
    parked(2)
    sqs.send_message(QueueUrl=url, MessageBody="a")
    assert begun.result(30) == ["a"]
    assert not waiting.done()
    assert looks.count("other") == 1


# ---- the end ------------------------------------------------------------------------------------
def test_closing_answers_hundreds_of_polls_at_once(
    actions: Any, backend: Backend, run: Run, parked: Parked, looks: list[str]
) -> None:
    app: App = make_app(actions, clock=backend.broker.clock)
    for number in range(10):
        backend.broker.create_queue(f"q-{number}")

    async def poll_all() -> list[Answer | None]:
        bodies = [{"QueueUrl": f"{URL}q-{i % 10}", "WaitTimeSeconds": 20} for i in range(300)]
        scope = make_scope("POST", "/", "", HEADERS)
        return await asyncio.gather(*(ask(app, scope, json.dumps(one).encode()) for one in bodies))

    async def close() -> None:
        assert backend.waiting.count() == 300
        backend.broker.send("q-0", [Message("a", "kept for the next server")])
        backend.waiting.close()

    with ThreadPoolExecutor(1) as pool:
        begun = pool.submit(run, poll_all())
        parked(300)
        run(close())
        answers = begun.result(30)
    assert {(one.status, one.body) for one in answers} == {(200, b"{}")}
    assert backend.waiting.count() == 0
    assert len(looks) == 300
    assert backend.broker.counts("q-0").visible == 1
