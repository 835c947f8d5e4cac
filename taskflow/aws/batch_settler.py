"""How a batch of Lambda is settled: with a broker as workers do it, without one by SQS itself."""

import logging
from collections.abc import Sequence

from taskflow.broker import Broker
from taskflow.errors import BrokerError
from taskflow.message import Delivery
from taskflow.retry import Dead, Done, Retry
from taskflow.worker.job import Job
from taskflow.worker.outcomes import final, tell

log = logging.getLogger("taskflow.aws")


class BatchSettler:
    """Of one batch. What the broker cannot be told is logged, and left to SQS."""

    def __init__(self, broker: Broker | None) -> None:
        self._broker = broker
        self._done: list[Job] = []

    def settle(self, job: Job) -> bool:
        """Whether the message is handled, so that Lambda may delete it."""
        if self._broker is not None:
            job.outcome = final(job, self._retention)
        match job.outcome:
            case Done(duplicate=duplicate):
                if job.entry is not None and not duplicate:
                    self._done.append(job)
                return True
            case Retry(after=after):
                if self._broker is not None:
                    for error in self._tell(self._broker, [job])[1]:
                        _comes_back_early(job.delivery, after, error)
                return False
            case Dead(reason=reason):
                return self._bury(job, reason)

    def _retention(self, queue: str) -> float:
        assert self._broker is not None
        try:
            return self._broker.settings(queue).retention
        except BrokerError as error:
            log.warning("the retention of queue %s is not known: %s", queue, error)
            return float("inf")

    def _tell(self, broker: Broker, jobs: Sequence[Job]) -> tuple[bool, list[Exception]]:
        """Tell the broker how they ended: whether it knows all of it, and why not."""
        answers = tell(broker, jobs, lambda queue: float("inf"))  # their outcomes are final
        for job in answers.lost:
            _lost(job.delivery)
        errors = [error for _, error in answers.refused]
        if answers.error is not None:
            errors += [answers.error] * len(answers.untold)
        return len(answers.settled) == len(jobs), errors

    def hide(self, delivery: Delivery, seconds: float) -> None:
        """Have it come back after so many seconds, unrun."""
        if self._broker is None:
            return
        try:
            if not self._broker.change_visibility([(delivery, seconds)])[0]:
                _lost(delivery)
        except BrokerError as error:
            _comes_back_early(delivery, seconds, error)

    def _bury(self, job: Job, reason: str) -> bool:
        left = "event=%s queue=%s is left to the redrive policy of its queue: %s"
        delivery = job.delivery
        if self._broker is None:
            log.error(left, delivery.id, delivery.queue, reason)
            return False
        told, errors = self._tell(self._broker, [job])
        for error in errors:
            log.error(left + "; %s", delivery.id, delivery.queue, reason, error)
        return told

    def remember(self) -> None:
        """Delete what is done, so that the broker remembers it; Lambda deletes it once more."""
        if self._broker is None or not self._done:
            return
        _, errors = self._tell(self._broker, self._done)
        if errors:
            log.warning("%d finished events are not remembered: %s", len(errors), errors[0])

    def give_back(self, deliveries: list[Delivery]) -> None:
        """Have them come back now, as if never received."""
        if self._broker is None or not deliveries:
            return
        try:
            self._broker.give_back(deliveries)
        except BrokerError as error:
            log.warning(
                "%d messages come back when their visibility timeout ends: %s",
                len(deliveries),
                error,
            )


def _comes_back_early(delivery: Delivery, seconds: float, error: Exception) -> None:
    log.warning(
        "event=%s comes back when its visibility timeout ends, not after %.3f s: %s",
        delivery.id,
        seconds,
        error,
    )


def _lost(delivery: Delivery) -> None:
    log.warning(
        "event=%s queue=%s lost its lease: how it ended was not recorded",
        delivery.id,
        delivery.queue,
    )
