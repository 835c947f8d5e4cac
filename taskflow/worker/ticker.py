"""A pool's thread for what is due by itself: what somebody tends, at its time."""

import logging
import threading
from collections.abc import Sequence

from taskflow.broker import Broker
from taskflow.engine import BELL, Tender
from taskflow.errors import BrokerError

log = logging.getLogger("taskflow.worker")

LONGEST = 10.0  # seconds between two looks, whatever nobody told
AGAIN = 1.0  # seconds until a broker that failed is asked again


class Ticker:
    """Sleeps until something is due, or rings because it is due sooner than that. With nobody
    who tends anything there is no thread."""

    def __init__(self, broker: Broker, tenders: Sequence[Tender], worker: str) -> None:
        self._broker = broker
        self._tenders = tenders
        self._worker = worker
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="taskflow-ticker", daemon=True)

    def start(self) -> None:
        """Begin."""
        if self._tenders and self._broker.features.runs:
            self._thread.start()

    def close(self) -> None:
        """End, and wait for it."""
        self._closed = True
        self._broker.wake()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        failing = False
        while not self._closed:
            try:
                self._turn()
                failing = False
            except BrokerError as error:
                if not failing:
                    log.error("what is due cannot be looked at: %s", error)
                failing = True
                self._pause()
            except Exception:
                log.exception("what was due failed, and is tried again")
                self._pause()

    def _turn(self) -> None:
        """Do what is due, then wait for the next."""
        broker, (kind, key) = self._broker, BELL
        bell = broker.records(kind, [key]).get(key)
        found = [tender.tend(broker, self._worker) for tender in self._tenders]
        dues = [due for due in found if due is not None]
        wait = min([LONGEST, *(due - broker.clock.now() for due in dues)])
        if wait > 0:
            seen = 0 if bell is None else bell.version
            broker.wait_record(kind, key, seen, wait, lambda: self._closed)

    def _pause(self) -> None:
        condition = threading.Condition()
        with condition:
            self._broker.clock.wait(condition, AGAIN)
