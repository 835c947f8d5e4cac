"""Every exception of taskflow, in one tree.

TaskflowError
 ├─ RegistrationError        a subscription that cannot be; raised at import
 ├─ ConfigError              a setting that cannot be (address, variable, module)
 ├─ DecodeError              a message that is no event, or does not fit its handler
 │   └─ PayloadSealed        it is sealed, and nothing here opens it
 ├─ HandlerTimeout           a handler ran past its `timeout`
 ├─ NoHandler                a message waits in a queue where nothing handles its topic
 ├─ BrokerError
 │   ├─ TopicNotFound        no topic of that name
 │   ├─ QueueNotFound        no queue of that name
 │   ├─ QueueExists          declared again with other attributes
 │   ├─ TopicExists          declared again with other attributes
 │   ├─ MoveTaskNotFound     no running move of that handle
 │   ├─ MessageNotFound      no message of that id in the queue
 │   ├─ ChangeRefused        a change that was not applied; nothing of it happened
 │   │   ├─ LeaseLost        its fence: the receipt is stale, or the lease has ended
 │   │   ├─ VersionConflict  a record is not in the version expected
 │   │   └─ KeyTaken         somebody else has the key
 │   ├─ OverLimit            120,000 messages of a queue are in flight
 │   ├─ InvalidName          a name outside the rules of `limits`
 │   ├─ LimitExceeded        too large, too many, too long
 │   ├─ SealFailed           the codec of the application cannot seal a value
 │   ├─ InvalidFilterPolicy  a filter policy that SNS would refuse
 │   └─ BrokerUnavailable    cannot be reached or used now; the call may be repeated
 │       └─ BrokerFileError  the broker file is unreadable, foreign, read-only, full, or too new
 │           └─ FileReplaced  the broker file was deleted or replaced while it was open
 ├─ NotPorted                of Celery, and not in `taskflow.celery`; it says what to use
 ├─ ScheduleNotFound         no schedule of that name
 ├─ RunExists                a call has the id of a run that is another call
 ├─ ResultError             why Result.get answers nothing
 │   ├─ NoResult             none is kept, or there is no such run
 │   ├─ ResultTimeout        the run has not ended in time
 │   ├─ RunFailed            it failed; `error` says with what
 │   ├─ RunCancelled         it was cancelled
 │   ├─ RunExpired           it was not begun in time
 │   └─ WouldDeadlock        get() inside a task
 ├─ WorkflowError            what a workflow does that cannot be
 │   ├─ StepFailed           a step of a workflow failed; the code may go on without it
 │   ├─ StepInterrupted      a step that is run at most once was begun, and nobody saw its end
 │   └─ WorkflowDrift        the code is no longer that which the run began with
 └─ HandlerSignal            raised by handlers to say more than "failed"
     ├─ Retry(after)         run this event again after so many seconds
     └─ Reject(reason)       never run this event again: dead-letter it now
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from taskflow.later import Later

if TYPE_CHECKING:
    import difflib
else:
    difflib = Later("difflib")


class TaskflowError(Exception):
    """Base of everything taskflow raises. It can be pickled: a process pool hands it on."""

    def __reduce__(self) -> tuple[Any, ...]:
        made_of = super().__reduce__()[1]  # more than its `args`, of one that is an OSError, too
        return _as_it_was, (type(self), made_of), vars(self)


def _as_it_was(kind: "type[TaskflowError]", made_of: Any) -> "TaskflowError":
    """An error with its text, without asking for what that was made of."""
    return kind.__new__(kind, *made_of)


class RegistrationError(TaskflowError):
    """A subscription is impossible; the message says how to mend it."""


class ConfigError(TaskflowError):
    """A setting is wrong; the message names it and what is allowed."""


class DecodeError(TaskflowError):
    """A body is no CloudEvents JSON, or its data does not fit the handler's annotation."""


class PayloadSealed(DecodeError):
    """A value was sealed by a `codec` that this process does not have, or with another key."""


class NotPorted(TaskflowError):
    """Something that Celery has and `taskflow.celery` has not; the message says what to use."""


class HandlerTimeout(TaskflowError):
    """A handler ran longer than the `timeout` of its subscription (seconds)."""


class HandlerInterrupt(BaseException):
    """What is raised inside a `def` handler at its time limit. No Exception, so that a handler's
    `except Exception` does not take it for a failure of its own; `finally` blocks run."""


class NoHandler(TaskflowError):
    """A message waits in a queue that has no handler for its topic (in this worker)."""


class ResultError(TaskflowError):
    """Base of why `Result.get` answers nothing."""


class NoResult(ResultError):
    """This call keeps no result, or there is no such run, or not any more."""


class ResultTimeout(ResultError, TimeoutError):
    """The run has not ended within the time that `get` was given."""


class RunFailed(ResultError):
    """The run failed for good. `run` is its id, `error` what it raised, as text: its `type`,
    `message` and `traceback`."""

    def __init__(self, run: str, task: str, error: Any) -> None:
        self.run, self.task, self.error = run, task, error
        what = f"{error.type}: {error.message}" if error.type else error.message
        super().__init__(f"run {run!r} of {task} failed: {what}")


class RunCancelled(ResultError):
    """The run was cancelled."""


class RunExpired(ResultError):
    """The run was not begun before it expired."""


class WouldDeadlock(ResultError):
    """`get` was called inside a task, which holds the slot that the other may need."""


class ScheduleNotFound(TaskflowError):
    """No schedule of that name was put, or it was removed."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"no schedule named {name!r}")


class RunExists(TaskflowError):
    """The id of a call is that of a run which is another call."""

    def __init__(self, run: str, why: str) -> None:
        self.run = run
        super().__init__(f"run {run!r} exists, and {why}")


class WorkflowError(TaskflowError):
    """A workflow does what it cannot: the message says what, and what to do instead."""


class StepFailed(WorkflowError):
    """A step failed. `step` is its id, `error` what it raised, as text, and `kinds` the names of
    that exception's type and the types above it: an exception is not kept, its names are."""

    def __init__(self, step: str, error: Any, kinds: Iterable[str] = ()) -> None:
        self.step, self.error, self.kinds = step, error, tuple(kinds)
        super().__init__(f"step {step!r} failed: {error.type}: {error.message}")

    def is_a(self, kind: type[BaseException]) -> bool:
        """Whether the step raised this type, or one below it."""
        return f"{kind.__module__}.{kind.__qualname__}" in self.kinds


class StepInterrupted(WorkflowError):
    """A step with `at_most_once` was begun, and its worker died: its effect may have happened."""


class WorkflowDrift(WorkflowError):
    """With `strict=True`: the code does not do what the run has recorded."""


class BrokerError(TaskflowError):
    """Base of what a broker refuses or fails to do."""


class _NotFound(BrokerError):
    """What was asked for, what there is, and the nearest name."""

    kind = "thing"

    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        self.name = name
        self.known = sorted(known)
        text = f"no {self.kind} named {name!r}"
        if self.known:
            text += f"; known: {', '.join(self.known)}"
        if near := difflib.get_close_matches(name, self.known, n=1):
            text += f" (did you mean {near[0]!r}?)"
        super().__init__(text)


class TopicNotFound(_NotFound):
    """No topic of that name was declared."""

    kind = "topic"


class QueueNotFound(_NotFound):
    """No queue of that name was declared."""

    kind = "queue"


class QueueExists(BrokerError):
    """A queue was declared again with attributes that differ from the stored ones."""


class TopicExists(BrokerError):
    """A topic was declared again with attributes that differ from the stored ones."""


class MoveTaskNotFound(BrokerError):
    """No move task of that handle is running."""


class MessageNotFound(BrokerError):
    """A queue holds no message of that id, or none that the verb could be done with."""


class ChangeRefused(BrokerError):
    """A change (`taskflow.broker.change.Change`) was not applied; nothing of it happened."""


class LeaseLost(ChangeRefused):
    """The message that a change was made for is no longer the caller's."""


class VersionConflict(ChangeRefused):
    """A record is not in the version that was expected: somebody has changed it since.

    `found` is the version it has, 0 when there is no such record.
    """

    def __init__(self, kind: str, key: str, expected: int, found: int) -> None:
        self.kind, self.key, self.expected, self.found = kind, key, expected, found
        is_now = f"is in version {found}" if found else "does not exist"
        wanted = f"version {expected}" if expected else "none"
        super().__init__(f"{kind} {key!r} {is_now}; {wanted} was expected")


class KeyTaken(ChangeRefused):
    """Somebody else has the key; `holder` says who, `until` for how long (None: for good)."""

    def __init__(self, key: str, holder: str, until: float | None) -> None:
        self.key, self.holder, self.until = key, holder, until
        super().__init__(f"key {key!r} is held by {holder!r}")


class OverLimit(BrokerError):
    """As many messages of a queue are in flight as may be; delete some first."""


class InvalidName(BrokerError):
    """A topic or queue name breaks the rules in `taskflow.limits`."""


class SealFailed(BrokerError):
    """The `codec` of the registry failed to seal a value, which was not stored; the message names
    its error, not what that says."""


class LimitExceeded(BrokerError):
    """A size, count or duration is outside its bounds."""


class InvalidFilterPolicy(BrokerError):
    """A filter policy that SNS would refuse; the message says which part and why."""


class BrokerUnavailable(BrokerError):
    """The broker cannot be used now. Nothing was changed; the call may be repeated."""


class BrokerFileError(BrokerUnavailable):
    """The broker file is unreadable, read-only, full, not ours, or from a newer taskflow."""


class FileReplaced(BrokerFileError):
    """The broker file was deleted or replaced while it was open; the new one is open now."""


class HandlerSignal(TaskflowError):
    """Base of what a handler raises to steer its own message."""


class Retry(HandlerSignal):
    """Run this event again after `after` seconds (None: after the usual backoff).

    Counts as an attempt: with `retries=N` there are still at most N+1.
    """

    def __init__(self, after: float | None = None, reason: str = "") -> None:
        try:
            seconds = None if after is None else float(after)
        except (TypeError, ValueError):
            raise TypeError(f"Retry(after={after!r}): a number of seconds is wanted") from None
        if seconds is not None and not 0 <= seconds < float("inf"):
            raise ValueError(f"Retry(after={after!r}): seconds, 0 or more, not infinite")
        super().__init__(reason or f"retry asked for, after {after} s")
        self.after = seconds


class Reject(HandlerSignal):
    """Dead-letter this event now, with `reason` (text, or what has a text); it is not tried
    again."""

    def __init__(self, reason: object) -> None:
        try:
            text = str(reason)
        except Exception:
            text = f"a {type(reason).__name__} that has no text"
        super().__init__(text)
        self.reason = text
