"""The loop that carries message move tasks on: as time goes, and again for the next task."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from taskflow.broker import Broker
from taskflow.message import Message
from taskflow.server.backend import Backend
from taskflow.server.sqs_moves import STEP, MoveActions
from taskflow.testing import ManualClock

Make = Callable[..., str]

DEAD = "arn:aws:sqs:us-east-1:000000000000:dead"


@pytest.fixture
def paused(
    backend: Backend, moves: MoveActions, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], None]]:
    """The loop runs. Wait until it pauses between two steps."""
    arrivals = threading.Semaphore(0)
    pause = backend.waiting.pause

    async def noted(seconds: float) -> None:
        arrivals.release()
        await pause(seconds)

    async def begin() -> "asyncio.Task[None]":
        return asyncio.create_task(moves.run())

    async def end() -> None:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)

    async def do_nothing() -> None:
        """By now the loop has gone into its pause."""

    def wait() -> None:
        assert arrivals.acquire(timeout=30)
        run(do_nothing())

    monkeypatch.setattr(backend.waiting, "pause", noted)
    loop = run(begin())
    yield wait
    run(end())


@pytest.fixture
def die(taskflow_broker: Broker, make_queue: Make) -> Callable[..., None]:
    """Put messages into `dead`, as if the queue `work` had buried them."""
    make_queue("dead")
    make_queue(RedrivePolicy=json.dumps({"deadLetterTargetArn": DEAD, "maxReceiveCount": 1}))

    def die(*bodies: str) -> None:
        taskflow_broker.send("work", [Message(body, body) for body in bodies])
        letters = taskflow_broker.receive("work", limit=10)
        taskflow_broker.dead_letter([(letter, "{}") for letter in letters])

    return die


Die = Callable[..., None]


@pytest.fixture
def work(sqs: Any, die: Die, taskflow_clock: ManualClock) -> Callable[[], str]:
    """Wait for a message in `work`; it is deleted. Answers its body. Time goes on meanwhile: what
    is started beside a step waits for the next one."""
    url = sqs.get_queue_url(QueueName="work")["QueueUrl"]

    def work() -> str:
        while not (some := sqs.receive_message(QueueUrl=url).get("Messages")):
            taskflow_clock.advance(STEP)
        (found,) = some
        sqs.delete_message(QueueUrl=url, ReceiptHandle=found["ReceiptHandle"])
        return str(found["Body"])

    return work


def moved(sqs: Any) -> int:
    (task,) = sqs.list_message_move_tasks(SourceArn=DEAD)["Results"]
    return int(task["ApproximateNumberOfMessagesMoved"])


def test_messages_move_as_time_goes(
    sqs: Any, die: Die, taskflow_clock: ManualClock, paused: Callable[[], None]
) -> None:
    die("a", "b", "c")
    sqs.start_message_move_task(SourceArn=DEAD, MaxNumberOfMessagesPerSecond=1)
    for seconds, count in ((STEP, 1), (1.0, 1), (0.0, 2)):
        paused()
        assert moved(sqs) == count
        taskflow_clock.advance(seconds)


def test_the_loop_wakes_for_every_task(
    sqs: Any, die: Die, work: Callable[[], str], paused: Callable[[], None]
) -> None:
    for body in "abc":  # each begins while the loop sleeps, or is about to
        die(body)
        sqs.start_message_move_task(SourceArn=DEAD)
        assert work() == body


def test_a_task_left_over_by_the_last_run_goes_on(
    taskflow_broker: Broker, die: Die, work: Callable[[], str], request: pytest.FixtureRequest
) -> None:
    die("a")
    taskflow_broker.start_move("dead")
    request.getfixturevalue("paused")
    assert work() == "a"
