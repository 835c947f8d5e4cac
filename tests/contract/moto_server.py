"""The AWS broker against moto's server, an implementation that is not ours, on the test's clock."""

# moto has no types.
# mypy: allow-untyped-calls

import itertools
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any

import moto.core.utils
import pytest
from moto.moto_api._internal.models import moto_api_backend
from moto.server import ThreadedMotoServer
from moto.sqs.models import Queue, SQSBackend

from taskflow.brokers.aws.broker import AwsBroker
from taskflow.config import open_broker
from tests.contract.wire import SharedClock

TICK = 1e-6  # seconds; as fine as moto's times are


@cache
def start() -> str:
    """One server for the process; it ends with it."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    return f"http://{host}:{port}"


@contextmanager
def moto_broker(clock: SharedClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsBroker]:
    """The AWS broker over an empty moto; the polls it left behind end with the block."""
    endpoint = start()
    moto_api_backend.reset()
    waiting = hand_over_time(clock, monkeypatch)
    broker = open_broker(
        f"aws://us-east-1?endpoint={endpoint}", clock=clock, random=random.Random(7)
    )
    assert isinstance(broker, AwsBroker)
    polls = broker._polls
    clock.is_settled = lambda: len(waiting) >= polls.count()
    try:
        yield broker
    finally:
        clock.is_settled = lambda: True
        broker.close()
        clock.advance(60)
        for poll in [one for one in threading.enumerate() if "taskflow-poll" in one.name]:
            poll.join(10)


def hand_over_time(clock: SharedClock, monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Have moto ask the test's clock. Answers the threads in which it holds a long poll."""
    # moto ends a lease after its time, not at it: with a clock that stands still, never. So each
    # look at the clock takes a tick.
    ticks = itertools.count(1)
    waiting: set[int] = set()
    receive = SQSBackend.receive_message

    def utcnow() -> datetime:
        now = clock.server.now() + next(ticks) * TICK
        return datetime.fromtimestamp(now, UTC).replace(tzinfo=None)

    def wait_for_messages(queue: Any, timeout: float) -> None:
        # moto looks again after a second, or when something is sent. A turn of the clock it does
        # not hear, so it looks more often.
        waiting.add(threading.get_ident())
        with queue._messages_lock:
            queue._messages_lock.wait(0.01)

    def receive_message(backend: Any, *args: Any, **named: Any) -> Any:
        try:
            return receive(backend, *args, **named)
        finally:
            waiting.discard(threading.get_ident())

    monkeypatch.setattr(moto.core.utils, "utcnow", utcnow)
    monkeypatch.setattr(Queue, "wait_for_messages", wait_for_messages)
    monkeypatch.setattr(SQSBackend, "receive_message", receive_message)
    return waiting
