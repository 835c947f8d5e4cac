"""What became of a call: `Result`, made by `.delay()`, or again from its id anywhere."""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

from taskflow import payload as json
from taskflow.broker import Broker
from taskflow.broker.change import Change, Remove
from taskflow.errors import (
    DecodeError,
    NoResult,
    ResultTimeout,
    WouldDeadlock,
)
from taskflow.outgoing import outgoing
from taskflow.publisher import broker_of
from taskflow.tasks.awaited_aside import patience, wait_aside
from taskflow.tasks.cancelling import cancel
from taskflow.tasks.canvas.conducting import value_of
from taskflow.tasks.canvas.sweeping import remove_parts
from taskflow.tasks.coroutine_patience import Patience
from taskflow.tasks.endings import ended_badly
from taskflow.tasks.lost import end_if_lost
from taskflow.tasks.progress import PROGRESS, Step, read_step
from taskflow.tasks.run import FINAL, RUN, Row, RunError, State, load, row_of, state_of
from taskflow.tasks.turn_over import TurnOver

if TYPE_CHECKING:  # typing has defaults of type variables from Python 3.13 on
    from typing_extensions import TypeVar as DefaultedTypeVar

    R = DefaultedTypeVar("R", default=Any)
else:
    R = TypeVar("R")
LOOK = 30.0  # seconds of one wait; a ring ends it sooner


class Result(Generic[R]):
    """One call of a task. Compared and hashed by its id; it may be sent anywhere as that text.

    `returns`: the type that its value is decoded into, and that `get()` has for a type checker.
    `created`: whether this call made the run; False when one of the same `key` or `id` was there.
    Every look raises BrokerUnavailable when the broker cannot be used.
    """

    @overload
    def __init__(
        self,
        id: str,
        *,
        broker: Broker | None = None,
        created: bool = True,
        kept: bool = True,
    ) -> None: ...
    @overload
    def __init__(
        self,
        id: str,
        *,
        broker: Broker | None = None,
        returns: type[R],
        created: bool = True,
        kept: bool = True,
    ) -> None: ...
    @overload
    def __init__(
        self: "Result[Any]",
        id: str,
        *,
        broker: Broker | None = None,
        returns: Any,
        created: bool = True,
        kept: bool = True,
    ) -> None: ...
    def __init__(
        self,
        id: str,
        *,
        broker: Broker | None = None,
        returns: Any = Any,
        created: bool = True,
        kept: bool = True,
    ) -> None:
        self.id = id
        self.created = created
        self._broker = broker
        self._returns = returns
        self._kept = kept

    @property
    def broker(self) -> Broker:
        """Where it runs."""
        return broker_of(self._broker)

    # ---- looking ------------------------------------------------------------------------------
    @property
    def state(self) -> State:
        """Where it stands. `unknown`: there is no such run, or not any more."""
        row = self._row()
        return "unknown" if row is None else state_of(row, self.broker.clock.now())

    @property
    def ready(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.state in FINAL

    @property
    def error(self) -> RunError | None:
        """What it failed with, the last time it did; None when it did not."""
        row = self._row()
        return None if row is None else row.run.error

    @property
    def attempts(self) -> int:
        """How often it was begun, as far as that has ended."""
        row = self._row()
        return 0 if row is None else row.run.attempts

    @property
    def progress(self) -> Step | None:
        """How far it said it is; None when it said nothing."""
        self._check_kept()
        record = self.broker.records(PROGRESS, [self.id]).get(self.id)
        return None if record is None else read_step(record.value)

    # ---- waiting ------------------------------------------------------------------------------
    def get(self, timeout: float | None = None, *, allow_wait: bool = False) -> R:
        """What the task returned, as its annotated type, once it has ended: woken, not polled.

        `timeout` in seconds, None for as long as it takes, 0 for a look. Raises RunFailed,
        RunCancelled, RunExpired as it ended; ResultTimeout when it has not; NoResult for a call
        that keeps none, or is not there any more; WouldDeadlock inside a task, which might wait for
        one that needs its slot (`allow_wait=True`: it will not, the task waits for another pool).
        """
        self._check_kept()
        return self._get(timeout, self._until(timeout), allow_wait)

    def __await__(self) -> Generator[Any, None, R]:
        """`await result`: as `get()`, without holding up the event loop."""
        return self.get_async().__await__()

    async def get_async(self, timeout: float | None = None, *, allow_wait: bool = False) -> R:
        """`get`, without holding up the event loop. It may be cancelled."""
        patient = patience()
        until = self._until(timeout)
        return await wait_aside(
            self.broker, patient, lambda: self._get(timeout, until, allow_wait, patient)
        )

    def _until(self, timeout: float | None) -> float | None:
        if timeout is None:
            return None
        if not timeout >= 0:
            raise ValueError(f"timeout is {timeout!r}; seconds, 0 or more, or None")
        return self.broker.clock.now() + timeout

    def _get(
        self,
        timeout: float | None,
        until: float | None,
        allow_wait: bool,
        patient: Patience | None = None,
    ) -> R:
        self._check_kept()
        check_may_wait(allow_wait)
        return self._value(self._wait(timeout, until, patient))

    def _wait(self, timeout: float | None, until: float | None, patient: Patience | None) -> Row:
        broker, stop = self.broker, None if patient is None else patient.has_ended
        row = load(broker, [self.id]).get(self.id)
        while row is not None and row.state not in FINAL:
            left = LOOK if until is None else min(LOOK, until - broker.clock.now())
            if left <= 0:
                raise ResultTimeout(
                    f"run {self.id!r} of {row.run.task} is {row.state} after {timeout:g} s"
                )
            look = left if patient is None else patient.look(left)
            record = broker.wait_record(RUN, self.id, row.version, look, stop)
            if stop is not None and stop():
                raise ResultTimeout(f"nobody waits for run {self.id!r} any more")
            found = None if record is None else row_of(record)
            if found is not None and found.version == row.version:
                found = end_if_lost(broker, found)
            if found is not None and found.state not in FINAL and patient and patient.is_over:
                raise TurnOver
            row = found
        if row is not None:
            broker.secure()
            return row
        raise NoResult(f"there is no run {self.id!r}, or not any more")

    def _value(self, row: Row) -> R:
        if row.state == "done":
            try:
                return cast(R, json.decoder(self._returns)(value_of(self.broker, row)))
            except DecodeError as error:
                raise type(error)(f"the result of run {self.id!r}: {error}") from None
        raise ended_badly(row)

    # ---- changing -----------------------------------------------------------------------------
    def cancel(self) -> bool:
        """End it before its time: at once while it waits; while it runs it is told within about a
        second (`ctx.cancelled`; a coroutine is cancelled). False when it has ended before, there
        is no such run, or its plan is being stored, and has not begun."""
        return cancel(self.broker, self.id, without_run=not self._kept)

    def forget(self) -> None:
        """Remove what is kept of it now, not when its time is over, with the parts of a plan and
        the steps of a workflow. A run that has not ended is cancelled by that, and goes in its
        time: its message still names it."""
        broker = self.broker
        while (row := load(broker, [self.id]).get(self.id)) is not None:
            if row.state not in FINAL:
                cancel(broker, self.id)
                return
            if row.run.place is not None and row.run.place.root == self.id:
                while not remove_parts(broker, self.id):
                    pass
            gone = [Remove(RUN, self.id, row.version), Remove(PROGRESS, self.id)]
            if broker.apply([Change(records=gone)])[0].refused is None:
                return

    # ---- helpers ------------------------------------------------------------------------------
    def _row(self) -> Row | None:
        self._check_kept()
        return load(self.broker, [self.id]).get(self.id)

    def _check_kept(self) -> None:
        if not self._kept:
            raise NoResult(
                f"call {self.id!r} keeps no result; @task(result='1d') does, or .options(result=…)"
            )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Result) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"Result({self.id!r})"

    def __str__(self) -> str:
        return self.id


def check_may_wait(allowed: bool) -> None:
    """Raise WouldDeadlock inside a task, unless it is `allowed`; then what the task has sent so far
    is sent at once, since it may be waited for."""
    out = outgoing.get()
    if out is None or out.closed:
        return
    if not allowed:
        raise WouldDeadlock(
            "waiting inside a task is waiting for a run that may need the slot it waits in; use "
            "on_success=, a chain or a chord, or allow_wait=True if the run belongs to another "
            "worker"
        )
    out.flush()
