"""A thread that closes abandoned orders and forgets old records, once a minute."""

import logging
from collections.abc import Callable
from threading import Condition, Thread

from sqlalchemy.exc import SQLAlchemyError

from taskflow.clock import Clock

EVERY_SECONDS = 60.0

logger = logging.getLogger("services.order.sweeper")


class Sweeper:
    """Calls `sweep` every minute until stopped; a database in trouble is tried again."""

    def __init__(self, sweep: Callable[[], object], clock: Clock) -> None:
        self._sweep = sweep
        self._clock = clock
        self._condition = Condition()
        self._stopping = False
        self._thread = Thread(target=self._run, name="order-sweeper", daemon=True)

    def start(self) -> None:
        """Begin to sweep."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread. Idempotent."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                self._sweep()
            except SQLAlchemyError as error:
                logger.error("the sweep failed and is tried again: %s", error)
            with self._condition:
                if not self._stopping:
                    self._clock.wait(self._condition, EVERY_SECONDS)
                if self._stopping:
                    return
