"""What ported code catches and raises, under the names that it has in Celery."""

from taskflow.errors import (
    HandlerInterrupt,
    HandlerTimeout,
    ResultTimeout,
    Retry,
    RunCancelled,
)

__all__ = [
    "Ignore",
    "MaxRetriesExceededError",
    "Reject",
    "Retry",
    "SoftTimeLimitExceeded",
    "TaskRevokedError",
    "TimeLimitExceeded",
    "TimeoutError",
]

SoftTimeLimitExceeded = HandlerInterrupt
TimeLimitExceeded = HandlerTimeout
TimeoutError = ResultTimeout
TaskRevokedError = RunCancelled


class MaxRetriesExceededError(Exception):
    """A task asked for one more retry than it may have, and gave no exception of its own."""


class Ignore(Exception):
    """Raised by a task that wants nothing to follow: it counts as done, with no value."""


class Reject(Exception):
    """Raised by a task: to the dead letters, or with `requeue` once more, at once."""

    def __init__(self, reason: object = None, requeue: bool = False) -> None:
        super().__init__(reason, requeue)
        self.reason = reason
        self.requeue = requeue
