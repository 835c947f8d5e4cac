"""Doing something again and again beside the rest of a command."""

import threading
from collections.abc import Callable


def every(
    seconds: float, act: Callable[[], None], wait: Callable[[threading.Condition, float], bool]
) -> Callable[[], None]:
    """Call `act` now and every so many seconds, in a thread; answers how to end it."""
    condition = threading.Condition()
    ended = threading.Event()

    def run() -> None:
        with condition:
            while not ended.is_set():
                act()
                wait(condition, seconds)

    thread = threading.Thread(target=run, name="taskflow-heartbeat", daemon=True)
    thread.start()

    def end() -> None:
        ended.set()
        with condition:
            condition.notify()
        thread.join()

    return end
