"""One schedule whose time has come, on its way into a change."""

import logging
from collections.abc import Sequence

import msgspec

from taskflow.broker import Broker
from taskflow.broker.change import Add, Change, Publish, Put
from taskflow.broker.record import Record
from taskflow.errors import BrokerError, KeyTaken, VersionConflict
from taskflow.event import Event, trace_child
from taskflow.limits import is_fifo
from taskflow.scheduling.missed_ticks import MOST, what_is_due
from taskflow.scheduling.spec import Spec
from taskflow.scheduling.stored import SCHEDULE, Row, due_time, put_row, row_of
from taskflow.tasks.call_options import Checked
from taskflow.tasks.cancelling import stop_parts
from taskflow.tasks.preparing import Prepared, prepare
from taskflow.tasks.submitting import replace_holder

TRY_AGAIN = 60.0  # seconds until one that cannot be fired is tried again
LOOK_AGAIN = 1.0  # seconds between two looks whether the run before has ended
MOST_TRIES = 120  # of one schedule in one turn; each is refused for another reason

log = logging.getLogger("taskflow.schedules")


class Firing:
    """Made of a due record; makes the change that fires it, and another one when that is refused.

    The schedule's record is written in the version that was seen, in the same change as what the
    tick sends: so whoever else fires it at the same time, one of them does.
    """

    __slots__ = (
        *("_broker", "_failure", "_holder", "_missed", "_next", "_now", "_record", "_row"),
        *("_skipped", "_ticks", "_tries", "_waiting", "lost"),
    )

    def __init__(self, broker: Broker, record: Record, now: float) -> None:
        self._broker = broker
        self._record = record
        self._now = now
        self._tries = 0
        self._row: Row | None = None
        self._ticks: list[float] = []
        self._missed = self._skipped = 0
        self._next: float | None = None
        self._waiting: float | None = None
        self._holder: str | None = None
        self._failure: Exception | None = None
        self.lost = False
        """Somebody else has fired or changed it."""
        try:
            self._decide(row_of(record))
        except Exception as error:  # a zone that is unknown here, a value of another release
            self._fail(error)

    def change(self) -> Change:
        """What fires it, as far as is known. If that cannot even be said, it is due again later."""
        if self._failure is None:
            try:
                return self._fired()
            except Exception as error:  # a message too large, for one
                self._fail(error)
        return self._postponed()

    def refused(self, error: BrokerError) -> bool:
        """The change was refused: whether another one is to be tried."""
        self._tries += 1
        if isinstance(error, VersionConflict) and error.kind == SCHEDULE:
            self.lost = True
            return False
        if self._failure is not None or self._tries > MOST_TRIES:
            return False
        if isinstance(error, KeyTaken):
            self._overlap(error.holder)
        elif isinstance(error, VersionConflict):  # of a run: this tick's, or the one to cancel
            name = self._record.key
            self._ticks = [tick for tick in self._ticks if tick_id(name, tick) != error.key]
        else:
            self._fail(error)
        return True

    def applied(self) -> None:
        """The change was made; what the run had called that it has replaced ends, too."""
        if self._failure is None and self._holder is not None:
            stop_parts(self._broker, self._holder)

    # ---- deciding -----------------------------------------------------------------------------
    def _decide(self, row: Row) -> None:
        """Which ticks to fire, as if nothing stood in the way."""
        stored, spec, now = row.stored, row.stored.spec, self._now
        self._row, self._next = row, stored.next_tick
        if stored.next_tick is not None and stored.next_tick <= now:
            self._ticks, self._missed, self._next = what_is_due(
                spec.timing, spec.missed, spec.catchup, spec.jitter, stored.next_tick, now
            )
        if self._missed > 1 and not (spec.missed == "all" and self._missed <= MOST):
            log.warning(
                "schedule %s: %s%d ticks were missed since %.0f",
                row.name,
                "at least " if self._missed >= MOST else "",
                self._missed,
                stored.next_tick or now,
            )
        if stored.waiting is not None:
            self._wait(self._ticks)
            self._ticks = [stored.waiting]

    def _overlap(self, holder: str) -> None:
        """The run before has not ended."""
        assert self._row is not None
        overlap = self._row.stored.spec.overlap
        if overlap == "cancel":
            self._holder = holder
            return
        ticks, self._ticks = self._ticks, []
        if overlap == "queue":
            behind = [] if self._waiting is None else [self._waiting]
            self._waiting = None
            self._wait([*ticks, *behind])
        else:
            self._skipped += len(ticks)

    def _wait(self, ticks: Sequence[float]) -> None:
        """One tick may wait; those behind it are skipped."""
        self._waiting = ticks[0] if ticks else None
        self._skipped += max(0, len(ticks) - 1)

    def _fail(self, error: Exception) -> None:
        self._failure = error
        log.error(
            "schedule %s is due, and cannot be fired: %s; tried again in %g s",
            *(self._record.key, str(error) or type(error).__name__, TRY_AGAIN),
        )

    # ---- the change ---------------------------------------------------------------------------
    def _fired(self) -> Change:
        row, now = self._row, self._now
        assert row is not None
        before = row.stored
        stored = msgspec.structs.replace(
            before,
            fired=before.fired + len(self._ticks),
            last_tick=self._ticks[-1] if self._ticks else before.last_tick,
            skipped=before.skipped + self._skipped,
            missed=before.missed + self._missed,
            waiting=self._waiting,
            next_tick=self._next,
        )
        due_at = row.due_at
        if self._next != before.next_tick or before.waiting is not None:
            due_at = due_time(stored, self._broker)
        if self._waiting is not None:
            due_at = now + LOOK_AGAIN if due_at is None else min(due_at, now + LOOK_AGAIN)
        state = "ended" if due_at is None else row.state
        sent = [self._fire(row.name, stored.spec, tick) for tick in self._ticks]
        put = put_row(row.name, stored, state, row.version, due_at, now)
        id = None if self._broker.features.atomic else f"tick/{row.name}/{row.version}"
        if len(sent) == 1:
            (one,) = sent
            return Change(
                id=id,
                keys=one.keys,
                records=[put, *one.records],
                counters=one.counters,
                sends=one.sends,
            )
        return Change(
            id=id,
            keys=[key for one in sent for key in one.keys],
            records=[put, *(record for one in sent for record in one.records)],
            counters=[counter for one in sent for counter in one.counters],
            sends=[send for one in sent for send in one.sends],
        )

    def _fire(self, name: str, spec: Spec, tick: float) -> Change:
        """What one tick sends."""
        if spec.task is None:
            return publishing(self._broker, spec, tick_id(name, tick), name)
        lock = None if spec.overlap == "allow" else f"{SCHEDULE}/{name}"
        call = calling(self._broker, spec, tick_id(name, tick), name, tick, lock)
        if self._holder is not None:
            return replace_holder(self._broker, call, self._holder)
        return call.change()

    def _postponed(self) -> Change:
        """As it is, but due later, and counted."""
        record = self._record
        put = Put(
            kind=record.kind,
            key=record.key,
            value=record.value,
            expected=record.version,
            parent=record.parent,
            label=record.label,
            state=record.state,
            due_at=self._now + TRY_AGAIN,
        )
        return Change(records=[put], counters=[Add(record.kind, record.key, 1)])


def calling(
    broker: Broker, spec: Spec, id: str, name: str, tick: float, lock: str | None = None
) -> Prepared:
    """A call of the task of a schedule."""
    assert spec.task is not None
    group = name if is_fifo(spec.task.queues[0]) else None
    return prepare(
        spec.task,
        bytes(spec.args),
        bytes(spec.kwargs),
        Checked(id=id, group=group, priority=spec.task.defaults.priority),
        broker.clock.now(),
        broker.random,
        broker.max_message_bytes,
        tick=tick,
        lock=lock,
    )


def publishing(broker: Broker, spec: Spec, id: str, name: str) -> Change:
    """A publish of the event of a schedule."""
    assert spec.topic is not None
    event = Event(
        topic=spec.topic,
        payload=spec.payload,
        id=id,
        time=broker.clock.now(),
        traceparent=trace_child(None, broker.random),
        group=name if is_fifo(spec.topic) else None,
    )
    return Change(sends=[Publish(spec.topic, [event.message(most=broker.max_message_bytes)])])


def tick_id(name: str, tick: float) -> str:
    """The id of what a tick sends: there is one of each."""
    return f"{name}@{int(tick) if tick.is_integer() else tick}"
