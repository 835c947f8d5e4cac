"""Requests that need not wait for each other, side by side on a few threads."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from taskflow import forking
from taskflow.errors import BrokerError

MOST = 10  # at once

T = TypeVar("T")


class Parallel:
    """Thread-safe. The threads are started when there are two requests to make at once."""

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None
        self._lock: threading.Lock
        forking.anew(self, _threads=lambda: None, _lock=threading.Lock)

    def run(self, calls: Sequence[Callable[[], T]]) -> list[T | BrokerError]:
        """What each call answers, or the BrokerError that it raises."""
        if len(calls) < 2:
            return [_attempt(call) for call in calls]
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(MOST, thread_name_prefix="taskflow-aws")
            begun = [self._threads.submit(_attempt, call) for call in calls[1:]]
        first = _attempt(calls[0])
        return [first, *(one.result() for one in begun)]

    def close(self) -> None:
        """Let go of the threads, once they are done."""
        with self._lock:
            if self._threads is not None:
                self._threads.shutdown(wait=False)
                self._threads = None


def _attempt(call: Callable[[], T]) -> T | BrokerError:
    try:
        return call()
    except BrokerError as error:
        return error
