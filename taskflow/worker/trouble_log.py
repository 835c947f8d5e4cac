"""Log lines for what goes wrong with a message between its receive and its end."""

import logging

from taskflow.worker.job import Job, State
from taskflow.worker.observer import Observer

log = logging.getLogger("taskflow.worker")


class TroubleLog(Observer):
    """Says which leases were lost, and which outcomes the broker has not recorded."""

    def lost(self, job: Job) -> None:
        """What has ended or goes back says so later, if the broker minds."""
        delivery = job.delivery
        if job.state is State.RUNNING:
            log.warning("event=%s queue=%s lost its lease", delivery.id, delivery.queue)
        elif job.state in (State.WAITING, State.READY):
            log.warning("event=%s lost its lease before it could start", delivery.id)

    def refused(self, job: Job, error: Exception | None) -> None:
        """What goes back has no outcome that could be missed."""
        if not job.has_outcome:
            return
        delivery = job.delivery
        if error is None:
            log.warning(
                "event=%s queue=%s lost its lease: how it ended was not recorded",
                delivery.id,
                delivery.queue,
            )
        else:
            log.error(
                "event=%s: how it ended cannot be recorded; it comes back when its lease ends: %s",
                delivery.id,
                error,
                exc_info=error,
            )
