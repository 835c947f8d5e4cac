"""What a pool does at each beat: say what it is, have things tended, and look at its memory."""

import logging
import os
import socket
from collections.abc import Callable

from taskflow.broker import Broker, WorkerReport
from taskflow.config import setting
from taskflow.errors import BrokerError
from taskflow.message import new_id
from taskflow.version import VERSION
from taskflow.worker.health import peak_memory
from taskflow.worker.inflight import Inflight
from taskflow.worker.orders import Told, tell_worker, told_to
from taskflow.worker.precedence import Precedence
from taskflow.worker.run_tally import Tally
from taskflow.worker.scaler import Scaler
from taskflow.worker.slots import SYNC, Slots
from taskflow.worker.ticker import Ticker
from taskflow.worker.upkeep import BEAT
from taskflow.worker.worker import Worker

log = logging.getLogger("taskflow.worker")

MOST_RUNNING = 20
"""Messages that a report names of those that run, what runs for the longest first."""

UPKEEP, UPKEEP_STEPS = "taskflow.upkeep", 10  # small ones: leases are extended between them


class Reporter:
    """One thread calls `beat`. `max_memory` is in bytes; `recycle` is called with the reason when
    the process has peaked above it; `obey` with what somebody told this worker, at each beat."""

    def __init__(
        self,
        worker: Worker,
        inflight: Inflight,
        tally: Tally,
        slots: Slots,
        scaler: Scaler,
        precedence: Precedence,
        *,
        max_memory: int | None,
        recycle: Callable[[str], None],
        obey: Callable[[Told], None],
    ) -> None:
        self._broker: Broker = worker.broker
        self._queues = worker.queues
        self._inflight = inflight
        self._tally = tally
        self._slots = slots
        self._scaler = scaler
        self._max_memory = max_memory
        self._recycle = recycle
        self._obey = obey
        self._does: Told = ""
        self._started_at = self._broker.clock.now()
        self._release = setting("release") or ""
        self._id = new_id(self._started_at, self._broker.random)
        self._warned = False
        self._leads_until = 0.0
        self.ticker = Ticker(self._broker, worker.registry, self._id, precedence)

    def beat(self) -> None:
        """Raises BrokerError when the broker cannot be used."""
        if self._max_memory is not None and peak_memory() > self._max_memory:
            if self._inflight.finished:
                self._recycle(f"{peak_memory() // 2**20} MiB of memory")
            elif not self._warned:
                self._warned = True
                log.warning(
                    "--max-memory is %d MiB, and the process has %d MiB before its first run",
                    self._max_memory // 2**20,
                    peak_memory() // 2**20,
                )
        if self._broker.features.runs and (told := told_to(self._broker, self._id)) != self._does:
            self._does = told
            self._obey(told)
        self._broker.report(self._report())
        self.ticker.look()
        if self._leads():  # one of many does it
            for _ in range(UPKEEP_STEPS):
                if not self._broker.upkeep():
                    break
            if self._broker.features.runs:
                self._broker.note_history()

    def _leads(self) -> bool:
        """Whether the upkeep is this pool's, which says so again before its time is over."""
        now = self._broker.clock.now()
        if now < self._leads_until - 1.5 * BEAT:
            return True
        leads = self._broker.hold(UPKEEP, self._id, 3 * BEAT)
        self._leads_until = now + 3 * BEAT if leads else 0.0
        return leads

    def retire(self) -> None:
        """Sign off, and forget what it was told."""
        try:
            self._broker.retire(self._id)
            if self._does:
                tell_worker(self._broker, self._id, "")
        except BrokerError as error:
            log.debug("not retired: %s", error)

    def _report(self) -> WorkerReport:
        """What this process says of itself to the broker."""
        with self._inflight.lock:
            began = self._broker.clock.now() - self._broker.clock.elapsed()
            longest = sorted(self._inflight.running, key=lambda job: job.started)[:MOST_RUNNING]
            return WorkerReport(
                id=self._id,
                host=socket.gethostname(),
                pid=os.getpid(),
                queues=self._queues,
                started_at=self._started_at,
                busy=len(self._inflight.running),
                slots=self._slots.most(SYNC),
                handlers={name: dict(found) for name, found in self._tally.handlers.items()},
                failures=list(self._tally.failures),
                scaling=self._scaler.reason,
                version=VERSION,
                said_at=self._broker.clock.now(),
                running=[
                    {
                        "queue": job.delivery.queue,
                        "handler": job.handler,
                        "id": job.delivery.id,
                        "since": round(began + job.started, 3),
                    }
                    for job in longest
                ],
                does="draining" if self._does == "drain" else "paused" if self._does else "",
                times={
                    queue: {name: dict(times) for name, times in found.items()}
                    for queue, found in self._tally.times.items()
                },
                waits={queue: dict(found) for queue, found in self._tally.waits.items()},
                release=self._release,
            )
