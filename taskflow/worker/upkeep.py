"""The upkeep: a pool's thread for leases, time limits, late outcomes, and its own report."""

import logging
import threading
from collections.abc import Callable, Sequence

import msgspec

from taskflow.broker import Broker
from taskflow.clock import Clock
from taskflow.errors import BrokerError
from taskflow.retry import decide
from taskflow.worker.inflight import Inflight
from taskflow.worker.job import Job
from taskflow.worker.job_settler import Settler

log = logging.getLogger("taskflow.worker")

TICK = 0.05  # seconds between two looks while messages are held
HELP_AFTER = 0.005  # seconds after which other threads help with short work after all
HOLD_UNSTARTED = 0.25  # seconds after which messages that no thread could take are given back
INTERRUPT_AGAIN = 1.0  # seconds between two interrupts of a handler that swallows them
GIVE_UP_AFTER = 5.0  # seconds a handler may ignore its interrupts
HELD = 5.0  # seconds the upkeep may be late before it says so
BEAT = 10.0  # seconds between two reports


class Hooks(msgspec.Struct, frozen=True):
    """What the upkeep asks of its pool."""

    help: Callable[[], None]
    """Slots may be free while a slow handler runs: wake a thread. The lock is held."""
    replace: Callable[[], None]
    """A run was given up: its thread needs a successor."""
    beat: Callable[[], None]
    """Report to the broker, check memory."""
    scale: Callable[[], None]
    """Look whether more or fewer may run at once."""


class Upkeep:
    """Wakes every TICK seconds while messages are held, else once every BEAT."""

    def __init__(self, inflight: Inflight, settler: Settler, broker: Broker, hooks: Hooks) -> None:
        self._inflight = inflight
        self._settler = settler
        self._broker = broker
        self._clock: Clock = broker.clock
        self._hooks = hooks
        self._closed = False
        self._next_beat = self._clock.now()
        self._watched_at = self._clock.elapsed()
        self._thread = threading.Thread(target=self._run, name="taskflow-upkeep", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End, and wait for it."""
        with self._inflight.upkeep_due:
            self._closed = True
            self._inflight.upkeep_due.notify()
        self._thread.join()

    def _run(self) -> None:
        inflight = self._inflight
        while True:
            with inflight.upkeep_due:
                while not inflight and not self._closed and self._clock.now() < self._next_beat:
                    inflight.upkeep_rests = True
                    self._clock.wait(inflight.upkeep_due, self._next_beat - self._clock.now())
                    inflight.upkeep_rests = False
                if inflight and not self._closed:
                    helping = inflight.ready and inflight.pace.is_short
                    asleep = self._clock.elapsed()
                    self._clock.wait(inflight.upkeep_due, HELP_AFTER if helping else TICK)
                    held = self._clock.elapsed() - asleep
                    if held > HELD:
                        log.warning(
                            "no Python could run for %.0f s: a handler holds the interpreter (in "
                            "C code, or a regular expression), and leases cannot be extended",
                            held,
                        )
                if self._closed:
                    return
            try:
                self._tick(self._clock.now())
            except Exception:
                log.exception("upkeep failed at a step, and goes on")

    def _tick(self, now: float) -> None:
        inflight = self._inflight
        with inflight.lock:
            self._hooks.help()
            late = self._settler.is_late()
            extend = bool(inflight.due())
            unstarted = (
                inflight.return_ready() if inflight.placed_at + HOLD_UNSTARTED <= now else []
            )
            elapsed = self._clock.elapsed()
            running = list(inflight.running)
            overdue = [job for job in running if _is_overdue(job, elapsed)]
        self._settler.give_back(unstarted, "no thread is free for them")
        if late:
            self._settler.flush()
        if extend:
            self._settler.extend()
        for job in overdue:
            self._expire(job, elapsed)
        look = self._broker.economy.look_every
        if elapsed - self._watched_at >= look:
            self._watched_at = elapsed
            self._watch([job for job in running if elapsed - job.started >= look])
            try:
                self._hooks.scale()
            except BrokerError as error:
                log.debug("what waits could not be counted: %s", error)
        if now >= self._next_beat:
            self._next_beat = now + BEAT
            try:
                self._hooks.beat()
            except BrokerError as error:
                log.debug("no report: %s", error)

    def _watch(self, jobs: Sequence[Job]) -> None:
        """Let the engines of what has run for a while look after it."""
        for engine in {job.engine for job in jobs if job.engine is not None}:
            found = {id(job.found): job for job in jobs if job.engine is engine}
            try:
                stopped = engine.watch(
                    self._broker, [job.found for job in found.values() if job.found]
                )
            except BrokerError as error:
                log.debug("what runs could not be watched: %s", error)
                continue
            for one in stopped:
                if (run := found[id(one)].running) is not None:
                    run.cancel()

    def _expire(self, job: Job, now: float) -> None:
        running = job.running
        if running is None:  # it has just ended
            return
        if running.expired_at is None:
            running.expire(now)
        elif running.expired_at + GIVE_UP_AFTER > now:
            if running.interrupted_at + INTERRUPT_AGAIN <= now:
                running.expire(now)
        else:
            outcome = decide(
                running.timeout(), job.delivery.receive_count, job.policy, self._broker.random
            )
            if self._inflight.give_up(job, outcome, self._clock.now()):
                log.error(
                    "event=%s queue=%s ignores its timeout and was given up",
                    job.delivery.id,
                    job.delivery.queue,
                )
                self._hooks.replace()
                self._settler.flush()


def _is_overdue(job: Job, elapsed: float) -> bool:
    running = job.running
    return running is not None and running.deadline is not None and running.deadline <= elapsed
