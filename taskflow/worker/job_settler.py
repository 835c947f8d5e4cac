"""Tells the broker what becomes of the messages in flight: outcomes, leases, what comes back."""

import logging
import threading
from collections.abc import Sequence

from taskflow.broker import Broker
from taskflow.broker.change import Change, GiveBack
from taskflow.errors import BrokerError, BrokerUnavailable
from taskflow.telemetry.tracing import settling
from taskflow.worker.inflight import Inflight
from taskflow.worker.job import Job
from taskflow.worker.outcomes import Retention, tell

log = logging.getLogger("taskflow.worker")

TRY_AGAIN = 1.0  # seconds until what the broker could not be told is tried again


class Settler:
    """The broker calls for what `inflight` holds, made outside its lock. Thread-safe."""

    def __init__(self, broker: Broker, inflight: Inflight, retention: Retention) -> None:
        self._broker = broker
        self._clock = broker.clock
        self._inflight = inflight
        self._retention = retention
        self._economy = broker.economy
        # A lease must not be extended after its message was settled: a retry's wait would be
        # overwritten. So one of the two at a time.
        self._verbs = threading.Lock()
        self._troubled = False

    def is_late(self) -> bool:
        """Whether something has waited for company long enough. The lock of `inflight` is held."""
        inflight = self._inflight
        waited = self._clock.elapsed() - inflight.untold_since
        waits = bool(inflight.outcomes or inflight.returned)
        return waits and waited >= self._economy.settle_within

    def flush_full(self) -> None:
        """Flush what fills the broker's calls; the rest waits for company, or for the upkeep. (A
        FIFO queue waits for nothing: the next of a group comes when this one is settled.)"""
        inflight, count = self._inflight, self._economy.batch
        with inflight.lock:
            if inflight.untold_since > self._clock.elapsed():
                return  # the broker fails: the upkeep tries again in a while
            full = len(inflight.outcomes) // count * count
            if count > 1 and any(job.delivery.group is not None for job in inflight.outcomes):
                full = len(inflight.outcomes)
            worth_it = bool(full or inflight.returned)
        if worth_it:
            self.flush(full)

    def flush(self, most: int | None = None) -> BrokerUnavailable | None:
        """Settle outcomes, the first ones or all, then give back what must not run now. When the
        broker cannot be used (the answer says why) they are kept for the next time."""
        with self._verbs:
            ended, returned = self._inflight.tell_ended(most)
            if ended and (error := self._settle(ended)) is not None:
                return error
            return self._return(returned, "an earlier message of their group is not done")

    def _settle(self, jobs: Sequence[Job]) -> BrokerUnavailable | None:
        with settling(jobs):
            answers = tell(self._broker, jobs, self._retention)
        inflight = self._inflight
        with inflight.lock:
            inflight.settled(answers.settled)
            inflight.refused(answers.lost)
            for job, refusal in answers.refused:
                inflight.refused([job], refusal)
            if answers.error is not None:
                inflight.postpone(answers.untold, answers.error, TRY_AGAIN)
        if answers.error is not None:
            self._complain("outcomes wait to be settled: %s", answers.error)
        else:
            self._troubled = False
        return answers.error

    def extend(self) -> None:
        """Extend leases at half their time; what waits behind a lost one is given back."""
        with self._verbs:
            due = self._inflight.due()
            if not due:
                return
            try:
                answers = self._broker.extend([(job.delivery, job.lease) for job in due])
            except BrokerError as error:
                self._complain("leases could not be extended: %s", error)
                return
            self._troubled = False
            behind = self._inflight.extended(due, answers)
        self.give_back(behind, "an earlier message of their group lost its lease")

    def give_back(self, jobs: Sequence[Job], why: str) -> None:
        """Let others have these returned messages at once; no attempt is counted. When the broker
        cannot be used, they are given back with what is flushed next."""
        self._return(jobs, why)

    def _return(self, jobs: Sequence[Job], why: str) -> BrokerUnavailable | None:
        jobs = self._inflight.tell_returned(jobs) if jobs else ()
        if not jobs:
            return None
        try:
            answers = self._give_back(jobs)
        except BrokerUnavailable as error:
            self._inflight.postpone(jobs, error, TRY_AGAIN)
            self._complain("messages wait to be given back: %s", error)
            return error
        except Exception as error:
            self._inflight.refused(jobs, error)
            log.error("%d messages return when their lease ends: %s", len(jobs), error)
            return None
        with self._inflight.lock:
            for job, ok in zip(jobs, answers, strict=True):
                (self._inflight.given_back if ok else self._inflight.refused)([job])
        log.info("gave back %d messages: %s", len(jobs), why)
        return None

    def _give_back(self, jobs: Sequence[Job]) -> Sequence[bool]:
        if not any(job.slot for job in jobs):
            return self._broker.give_back([job.delivery for job in jobs])
        back = [Change(settlements=[GiveBack(job.delivery, job.slot)]) for job in jobs]
        return [one.refused is None and one.settled[0] for one in self._broker.apply(back)]

    def _complain(self, text: str, error: Exception) -> None:
        """Say once that the broker fails, not at every try."""
        if not self._troubled:
            log.error(text, error)
        self._troubled = True
