"""`AsyncResult(id)`: what became of a call, in Celery's words."""

import builtins
from typing import Any, cast

import msgspec

from taskflow.celery import states
from taskflow.celery.call_words import refused_attribute
from taskflow.celery.not_ported import refuse
from taskflow.clock import to_datetime
from taskflow.errors import RunCancelled, RunExpired, RunFailed
from taskflow.payload import read_any
from taskflow.tasks.progress import Step
from taskflow.tasks.result import Result
from taskflow.tasks.run import Row, RunError, load

_REFUSED = ("on_message", "on_interval", "callback")


class AsyncResult:
    """One call, by its id. Compared and hashed by it. `native` is the `Result` of taskflow."""

    def __init__(self, id: str, *, native: Result[Any] | None = None, app: Any = None) -> None:
        self.id = id
        self.app = app
        self.native: Result[Any] = native or Result(id)

    # ---- looking ------------------------------------------------------------------------------
    @property
    def task_id(self) -> str:
        """The id."""
        return self.id

    @property
    def state(self) -> str:
        """PENDING (also of what nobody knows), STARTED, RETRY, SUCCESS, FAILURE or REVOKED; or a
        state of the task's own (`update_state`), while it runs. Raises NoResult when none is
        kept."""
        state = states.WORDS[self.native.state]
        if state in (states.PENDING, states.STARTED) and (told := self._told()) is not None:
            return str(told.get("state") or state)
        return state

    status = state

    @property
    def result(self) -> Any:
        """What it returned, or the exception it raised; before that what it told of itself."""
        state = states.WORDS[self.native.state]
        if state == states.SUCCESS:
            return self.native.get(0, allow_wait=True)
        if state in states.EXCEPTION_STATES:
            error = self.native.error
            if error is not None:
                return exception_of(error, RunFailed(self.id, self.name or "", error))
            return RunCancelled(f"run {self.id!r} was revoked")
        told = self._told()
        return None if told is None else told.get("meta")

    info = result

    @property
    def traceback(self) -> str | None:
        """The traceback of its failure, as text."""
        error = self.native.error
        return None if error is None else error.traceback

    @property
    def name(self) -> str | None:
        """The name of its task; None when it is not there (any more)."""
        row = self._row()
        return None if row is None else row.run.task

    @property
    def args(self) -> list[Any] | None:
        """What it was called with."""
        row = self._row()
        return None if row is None else cast(list[Any], read_any(row.run.args))

    @property
    def kwargs(self) -> dict[str, Any] | None:
        """What it was called with by name."""
        row = self._row()
        return None if row is None else cast(dict[str, Any], read_any(row.run.kwargs))

    @property
    def retries(self) -> int:
        """How often it was tried again."""
        return max(0, self.native.attempts - 1)

    @property
    def date_done(self) -> Any:
        """When it ended, a datetime in UTC; None before."""
        row = self._row()
        ended = None if row is None else row.run.finished_at
        return None if ended is None else to_datetime(ended)

    @property
    def parent(self) -> "AsyncResult | None":
        """What its first argument comes from, in a chain or chord."""
        row = self._row()
        place = None if row is None else row.run.place
        if place is None or place.takes is None:
            return None
        return AsyncResult(place.takes, app=self.app)

    def ready(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.native.ready

    def successful(self) -> bool:
        """Whether it has returned."""
        return self.native.state == "done"

    def failed(self) -> bool:
        """Whether it has failed for good."""
        return self.native.state == "failed"

    # ---- waiting ------------------------------------------------------------------------------
    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        disable_sync_subtasks: bool = True,
        **options: Any,
    ) -> Any:
        """What it returned, once it has: woken, so that no interval counts.

        Raises what it raised, if that is one of Python's own exceptions, else RunFailed, whose
        `error` says what it was; without `propagate` the exception is returned. TaskRevokedError,
        TimeoutError; NoResult at once for an id that nobody knows; WouldDeadlock inside a task, but
        with `disable_sync_subtasks=False`.
        """
        for name in options:
            if name in _REFUSED:
                raise refuse("callback of get", name)
        try:
            return self.native.get(timeout, allow_wait=not disable_sync_subtasks)
        except RunFailed as failed:
            error = exception_of(failed.error, failed)
            if not propagate:
                return error
            raise error from (None if error is failed else failed)
        except (RunExpired, RunCancelled) as revoked:
            if not propagate:
                return revoked
            raise RunCancelled(str(revoked)) from None

    wait = get

    # ---- changing -----------------------------------------------------------------------------
    def revoke(
        self, terminate: bool = False, signal: Any = None, wait: bool = False, **_: Any
    ) -> None:
        """End it before its time: at once while it waits; while it runs it is told."""
        if terminate or signal is not None:
            raise refuse("terminate")
        self.native.cancel()

    def forget(self) -> None:
        """Remove what is kept of it."""
        self.native.forget()

    # ---- helpers ------------------------------------------------------------------------------
    def _row(self) -> Row | None:
        return load(self.native.broker, [self.id]).get(self.id)

    def _told(self) -> dict[str, Any] | None:
        """What `update_state` said last."""
        step: Step | None = self.native.progress
        if step is None or not step.note.startswith('{"state"'):
            return None
        return cast(dict[str, Any], read_any(msgspec.Raw(step.note.encode())))

    def __getattr__(self, name: str) -> Any:
        raise refused_attribute("AsyncResult", name, {"graph": "build_graph"})

    def __eq__(self, other: object) -> bool:
        return self.id == (other.id if isinstance(other, AsyncResult) else other)

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<AsyncResult: {self.id}>"

    def __str__(self) -> str:
        return self.id


def exception_of(error: RunError, otherwise: BaseException) -> BaseException:
    """An exception of Python's own made again from its text; `otherwise` for all others, since
    nothing is imported by a name that was stored."""
    kind = getattr(builtins, error.type, None) if error.type.isidentifier() else None
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            made: Exception = kind(error.message)
        except TypeError:
            return otherwise
        return made
    return otherwise
