"""Celery's words for how a call stands, and which state of a run each of ours is."""

from collections.abc import Mapping

from taskflow.tasks.run import State

PENDING = "PENDING"
STARTED = "STARTED"
RETRY = "RETRY"
SUCCESS = "SUCCESS"
FAILURE = "FAILURE"
REVOKED = "REVOKED"

READY_STATES = frozenset((SUCCESS, FAILURE, REVOKED))
EXCEPTION_STATES = frozenset((RETRY, FAILURE, REVOKED))
PROPAGATE_STATES = frozenset((FAILURE, REVOKED))
UNREADY_STATES = frozenset((PENDING, STARTED, RETRY))
ALL_STATES = READY_STATES | UNREADY_STATES

WORDS: Mapping[State, str] = {
    "unknown": PENDING,
    "scheduled": PENDING,
    "waiting": PENDING,
    "suspended": PENDING,
    "running": STARTED,
    "retrying": RETRY,
    "done": SUCCESS,
    "failed": FAILURE,
    "cancelled": REVOKED,
    "expired": REVOKED,
}
