"""Running a pool in a test: in a thread, on a ManualClock, until something has happened."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from taskflow import Pool, Registry, Worker
from taskflow.broker import Broker
from taskflow.testing import ManualClock

WAIT = 10.0  # real seconds until a test gives up on another thread


@contextmanager
def running(
    broker: Broker, registry: Registry, concurrency: int = 4, grace: float = 30.0
) -> Iterator[Pool]:
    pool = Pool(Worker(broker, registry=registry), concurrency=concurrency, grace=grace)
    thread = threading.Thread(target=pool.run)
    thread.start()
    try:
        yield pool
    finally:
        pool.stop_now()
        thread.join(WAIT)
        assert not thread.is_alive()


def settled(broker: Broker, count: int, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set once `count` messages were deleted or dead-lettered."""
    done = threading.Event()
    left = [count]
    for verb in ("delete", "dead_letter", "give_back", "change_visibility"):
        monkeypatch.setattr(broker, verb, _counting(getattr(broker, verb), verb, left, done))
    return done


def _counting(
    call: Callable[..., list[bool]], verb: str, left: list[int], done: threading.Event
) -> Callable[..., list[bool]]:
    def counted(entries: Any) -> list[bool]:
        entries = list(entries)
        answers = call(entries)
        if verb in ("delete", "dead_letter"):
            left[0] -= sum(answers)
        if left[0] <= 0:
            done.set()
        return answers

    return counted


def until(clock: ManualClock, event: threading.Event, step: float = 1.0, steps: int = 200) -> None:
    """Turn the clock until the event is set."""
    for _ in range(steps):
        if event.wait(0.02):
            return
        clock.advance(step)
    raise AssertionError("did not happen")
