"""A pool's thread for what is due by itself: what somebody tends, at its time."""

import logging
import threading
from collections.abc import Sequence

from taskflow.broker import Broker
from taskflow.broker.record import RecordQuery
from taskflow.engine import Tender
from taskflow.errors import BrokerError
from taskflow.registry import EVERYBODYS, Registry
from taskflow.worker.precedence import Precedence

log = logging.getLogger("taskflow.worker")


class Ticker:
    """Looks now and then (`Economy.look_every`) when something is due, and sees to it at its time.

    (It waits apart from those who wait for messages: each ring would wake it, and hold them up.)
    While nobody of the registry tends anything there is no thread.
    """

    def __init__(
        self, broker: Broker, registry: Registry, worker: str, precedence: Precedence
    ) -> None:
        self._broker = broker
        self._registry = registry
        self._tenders: Sequence[Tender] = ()
        self._worker = worker
        self._precedence = precedence
        self._started = False
        self._closed = False
        self._pause = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="taskflow-ticker", daemon=True)

    def start(self) -> None:
        """Begin, if there is anything to tend; once. Thread-safe."""
        with self._pause:
            tenders = self._registry.tenders
            if self._started or self._closed or not tenders or not self._broker.features.runs:
                return
            self._tenders, self._started = tenders, True
            self._thread.start()

    def look(self) -> None:
        """Begin after all, if there are records by now that every worker tends. Raises BrokerError
        when the broker cannot be used."""
        if not self._started and summon(self._broker, self._registry):
            self.start()

    def close(self) -> None:
        """End, and wait for it."""
        with self._pause:
            self._closed = True
            self._pause.notify()
        if self._started:
            self._thread.join()

    def _run(self) -> None:
        failing = False
        while not self._closed:
            wait = self._broker.economy.look_every
            self._precedence.begin()
            try:
                wait = self._turn()
                failing = False
            except BrokerError as error:
                if not failing:
                    log.error("what is due cannot be looked at: %s", error)
                failing = True
            except Exception:
                log.exception("what was due failed, and is tried again")
            finally:
                self._precedence.end()
            with self._pause:
                if wait > 0 and not self._closed:
                    self._broker.clock.wait(self._pause, wait)

    def _turn(self) -> float:
        """Do what is due; answers for how many seconds nothing is."""
        dues = [tender.tend(self._broker, self._worker) for tender in self._tenders]
        now = self._broker.clock.now()
        look = self._broker.economy.look_every
        return min([look, *(due - now for due in dues if due is not None)])


def summon(broker: Broker, registry: Registry) -> bool:
    """Have somebody in the registry for the records that every worker tends, if there are any by
    now; whether there are. Raises BrokerError when the broker cannot be used."""
    if not broker.features.runs:
        return False
    found = [
        kind for kind in EVERYBODYS if broker.list_records(RecordQuery(kind=kind, limit=1)).records
    ]
    for kind in found:
        registry.summon(kind)
    return bool(found)
