"""Threads in which coroutines wait: a program may end while they do."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class WaitingThreads:
    """Runs calls in `most` threads at a time, in the order in which they came. Thread-safe. (An
    executor's threads are joined at the end of the program, which would wait with them.)"""

    def __init__(self, most: int) -> None:
        self._most = most
        self._wanted = threading.Condition()
        self._queue: deque[Callable[[], None]] = deque()
        self._threads = 0
        self._idle = 0

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """What it will answer. One that is cancelled before it begins is not called."""
        future: Future[T] = Future()
        with self._wanted:
            if self._idle <= len(self._queue) and self._threads < self._most:
                name = f"taskflow-wait-{self._threads}"
                threading.Thread(target=self._work, name=name, daemon=True).start()
                self._threads += 1
            self._queue.append(lambda: _answer(future, call))
            self._wanted.notify()
        return future

    @property
    def wanted(self) -> int:
        """How many calls there are, begun or not."""
        with self._wanted:
            return self._threads - self._idle + len(self._queue)

    def _work(self) -> None:
        while True:
            with self._wanted:
                self._idle += 1
                while not self._queue:
                    self._wanted.wait()
                self._idle -= 1
                answer = self._queue.popleft()
            answer()
            del answer  # or what it answered lives until the next


def _answer(future: Future[T], call: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
