"""`schedules`: what is put, changed and looked at while the program runs."""

from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple, Unpack

import msgspec

from taskflow.broker import Broker
from taskflow.broker.change import Change, Put, Remove
from taskflow.broker.record import RecordQuery
from taskflow.clock import Instant
from taskflow.durations import Duration
from taskflow.errors import DecodeError, LimitExceeded, ScheduleNotFound, VersionConflict
from taskflow.message import new_id
from taskflow.publisher import broker_of
from taskflow.scheduling.firing import calling, publishing
from taskflow.scheduling.missed_ticks import LONGEST_CATCHUP
from taskflow.scheduling.replacing import put_again, put_new, put_paused, put_resumed
from taskflow.scheduling.schedule import Schedule, shown
from taskflow.scheduling.schedule_options import (
    ScheduleOptions,
    check_name,
    make_spec,
    make_timing,
)
from taskflow.scheduling.stored import SCHEDULE, Row, State, Stored, as_written, row_of
from taskflow.tasks.result import Result
from taskflow.tasks.task import TaskBase


class Page(NamedTuple):
    """A page of schedules, and what to ask `after` for the next one; None at the end."""

    schedules: Sequence[Schedule]
    next: str | None


class Schedules:
    """The schedules of a broker, by name: of the default one, unless `broker` is given.

    Thread-safe. Each call is whole or not at all, against any number of workers that fire at the
    same moment. Raises BrokerUnavailable when the broker cannot be used, ScheduleNotFound for a
    name that is not there (`get` answers None, `remove` False).
    """

    def put(
        self,
        name: str,
        *,
        every: Duration | None = None,
        cron: str | None = None,
        at: Instant | str | None = None,
        tz: str = "UTC",
        task: TaskBase[..., Any] | str | None = None,
        queue: str | None = None,
        publish: tuple[str, Any] | None = None,
        broker: Broker | None = None,
        **options: Unpack[ScheduleOptions],
    ) -> Schedule:
        """Put a schedule, or say anew what one of this name does: `every` so many seconds, by
        `cron` in `tz`, or once, `at` a moment.

        It calls `task` (or the task of that name, on `queue`), or publishes a payload to a topic:
        `publish=("day.ended", {})`. Put again as it is, nothing changes; other times begin now. One
        that is paused stays so. One that code declares is as code says from the next start of a
        worker on. Raises ValueError, or TypeError, for what cannot be, LimitExceeded for more
        than a message holds.
        """
        broker = broker_of(broker)
        check_name(name)
        timing = make_timing(every, cron, at, tz)
        spec = make_spec(timing, options, task=task, queue=queue, publish=publish)
        if spec.size > (most := broker.max_message_bytes):
            raise LimitExceeded(
                f"what schedule {name} sends is {spec.size} bytes; {most} are allowed"
            )
        now = broker.clock.now()
        catchup = LONGEST_CATCHUP if spec.catchup is None else spec.catchup
        while True:
            record = broker.records(SCHEDULE, [name]).get(name)
            try:
                row = None if record is None else row_of(record)
            except DecodeError:
                row = None
            if row is not None and row.stored.spec.same_as(spec):
                break
            if timing.at is not None and timing.at < now - catchup - spec.jitter:
                raise ValueError(
                    f"at is {now - timing.at:.0f} s ago, which is more than catchup, {catchup:g} "
                    "s: it would never run"
                )
            if row is not None:
                change = put_again(row, row.stored, spec, broker, now)
            else:  # it is new, or cannot be read
                change = put_new(name, Stored(spec=spec), broker, now)
                expected = 0 if record is None else record.version
                change = msgspec.structs.replace(change, expected=expected)
            if self._store(broker, change):
                return shown(as_written(change, record))
        assert record is not None
        return shown(record)

    def remove(self, name: str, *, broker: Broker | None = None) -> bool:
        """Remove a schedule; False when there was none. What it has sent runs. One of code is put
        again at the next start of a worker."""
        broker = broker_of(broker)
        if not broker.records(SCHEDULE, [name]):
            return False
        broker.apply([Change(records=[Remove(SCHEDULE, name)])])[0].or_raise()
        return True

    def pause(self, name: str, *, broker: Broker | None = None) -> None:
        """Fire it no more, until `resume`, whoever puts it meanwhile."""
        broker = broker_of(broker)
        while True:
            row = self._row(broker, name)
            if row.state != "active" or self._store(broker, put_paused(row, broker.clock.now())):
                return

    def resume(self, name: str, *, broker: Broker | None = None) -> None:
        """Go on from now: what it would have fired meanwhile is not made up for."""
        broker = broker_of(broker)
        while True:
            row = self._row(broker, name)
            if row.state != "paused":
                return
            if self._store(broker, put_resumed(row, broker, broker.clock.now())):
                return

    def run_now(self, name: str, *, broker: Broker | None = None) -> Result[Any] | str:
        """Do once, now, what it does at its ticks, which stay as they are: paused or not, and
        whether or not the run before has ended. Answers the result of the task, or the id of the
        event."""
        broker = broker_of(broker)
        spec, now = self._row(broker, name).stored.spec, broker.clock.now()
        id = f"{name}@{new_id(now, broker.random)}"
        if spec.task is None:
            broker.apply([publishing(broker, spec, id, name)])[0].or_raise()
            return id
        call = calling(broker, spec, id, name, now)
        broker.apply([call.change()])[0].or_raise()
        return Result(id, broker=broker, kept=call.put is not None)

    def get(self, name: str, *, broker: Broker | None = None) -> Schedule | None:
        """A schedule; None when there is none of this name."""
        record = broker_of(broker).records(SCHEDULE, [name]).get(name)
        return None if record is None else shown(record)

    def list(
        self,
        *,
        label: str | None = None,
        state: State | None = None,
        after: str | None = None,
        limit: int = 100,
        broker: Broker | None = None,
    ) -> Page:
        """A page of schedules (1000 at most), the oldest first: of all, or those of one task or
        topic (`label`), or in one state."""
        query = RecordQuery(
            kind=SCHEDULE,
            label=label,
            states=() if state is None else (state,),
            order="oldest",
            after=after,
            limit=limit,
        )
        page = broker_of(broker).list_records(query)
        return Page([shown(record) for record in page.records], page.next)

    def next(self, name: str, count: int = 1, *, broker: Broker | None = None) -> Sequence[float]:
        """Its next ticks (epoch seconds), as planned: without jitter. Fewer than `count` when there
        are no more; none while it is paused."""
        broker = broker_of(broker)
        row = self._row(broker, name)
        if row.state != "active" or row.stored.next_tick is None or count < 1:
            return []
        first = row.stored.next_tick
        return [first, *islice(row.stored.spec.timing.after(first), count - 1)]

    # ---- helpers ------------------------------------------------------------------------------
    def _row(self, broker: Broker, name: str) -> Row:
        record = broker.records(SCHEDULE, [name]).get(name)
        if record is None:
            raise ScheduleNotFound(name)
        return row_of(record)

    def _store(self, broker: Broker, put: Put) -> bool:
        """Whether nobody was faster."""
        refused = broker.apply([Change(records=[put])])[0].refused
        if isinstance(refused, VersionConflict):
            return False
        if refused is not None:
            raise refused
        return True


schedules = Schedules()
"""The schedules of the default broker."""
