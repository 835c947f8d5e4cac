"""Redrives of dead letters: how many, how fast, where to; one at work goes on in a thread."""

import logging
import threading
from contextlib import suppress
from typing import Literal

import msgspec

from taskflow.broker import Broker
from taskflow.broker.action import Action
from taskflow.broker.change import Change, Put
from taskflow.broker.message_query import MessageQuery
from taskflow.broker.record import RecordQuery
from taskflow.errors import BrokerError, VersionConflict

REDRIVE = "dashboard-redrive"
"""The kind of the records."""
KEPT = 7 * 86400.0  # seconds that one is kept after its last step
CHUNK = 100
"""Letters of a step, where no rate says less."""
WATCHED = 10
"""Letters after which a redrive stops when more than half of them are dead again."""
_GONE = "it is gone"
STALLED = 60.0
"""Seconds without a step after which its process is gone."""

log = logging.getLogger("taskflow.dashboard")


class Redrive(msgspec.Struct, kw_only=True):
    """A redrive as its record keeps it. Times in epoch seconds.

    Letters of the DLQ `queue` that died before `before`, of one `cause` if given, or those of
    `ids`; `total` of them at most, `rate` a second (0: as fast as it goes), `to` another queue or
    "" for where each came from. `done` are back, `again` of the last of them are dead
    again. `why` says why it has ended.
    """

    id: str
    who: str
    queue: str
    total: int
    before: float
    started_at: float
    cause: str = ""
    ids: list[str] = []
    rate: int = 0
    to: str = ""
    done: int = 0
    again: int = 0
    seen_at: float = 0.0
    state: Literal["running", "ended"] = "running"
    why: str = ""
    recent: list[str] = []

    @property
    def said(self) -> str:
        """What it does, in words."""
        where = f"to {self.to}" if self.to else "to where they died"
        speed = f" at {self.rate}/s" if self.rate else ""
        return f"Redriving {self.total:,} of {self.queue} {where}{speed}"

    @staticmethod
    def running(broker: Broker) -> "list[Redrive]":
        """Those that have not ended: at work in some process, or left by one that has ended."""
        if not broker.features.runs:
            return []
        query = RecordQuery(kind=REDRIVE, states=["running"], limit=20)
        return [_read(one.value) for one in broker.list_records(query).records]

    def stands(self, now: float) -> bool:
        """Whether nobody does it any more: its process has ended."""
        return self.state == "running" and now - self.seen_at > STALLED

    @staticmethod
    def find(broker: Broker, id: str) -> "Redrive | None":
        """One by its id."""
        record = broker.records(REDRIVE, [id]).get(id)
        return None if record is None else _read(record.value)

    def save(self, broker: Broker, expected: int | None = None) -> None:
        """Write it down, seen now. Raises VersionConflict when its record is not in the version
        expected."""
        if not broker.features.runs:
            return
        self.seen_at = broker.clock.now()
        put = Put(
            kind=REDRIVE,
            key=self.id,
            value=msgspec.json.encode(self).decode(),
            state=self.state,
            expires_at=self.seen_at + KEPT,
            expected=expected,
        )
        broker.apply([Change(records=[put])])[0].or_raise()

    def stop(self, broker: Broker, why: str) -> None:
        """End it; the thread that does it sees that at its next step."""
        self.state, self.why = "ended", why
        self.save(broker)

    def give_up(self, broker: Broker, why: str) -> None:
        """End it by itself, and say so in the record: nobody may be looking."""
        self.stop(broker, why)
        if broker.features.runs:
            broker.note_action(
                Action(
                    who=self.who,
                    did="redrive ended",
                    queue=self.queue,
                    count=self.done,
                    via="dashboard",
                    result=why,
                )
            )

    def step(self, broker: Broker) -> bool:
        """Move the letters of a second; whether there is more to do. Raises BrokerError."""
        version = self._check(broker)
        if self.state == "ended":
            return False
        self.again = self._dead_again(broker)
        if self.done >= WATCHED and self.again * 2 > len(self.recent):
            self.give_up(broker, "more than half of them died again")
            return False
        most = min(self.rate or CHUNK, self.total - self.done)
        if broker.features.inspection or self.ids:
            ids = self._next(broker, most)
            moved = self._move(broker, ids) if ids else 0
        else:  # it is not told which they are
            ids, moved = [], broker.redrive(self.queue, (), most)
        self.done += moved
        self.recent = [*self.recent, *ids][-CHUNK:]
        if not (ids or moved) or self.done >= self.total or (not moved and not self.ids):
            self.state = "ended"
        try:
            self.save(broker, version)
        except VersionConflict:  # somebody stopped it while these were moved
            self._check(broker)
            if self.why != _GONE:
                self.save(broker)
        return self.state == "running"

    def _check(self, broker: Broker) -> int | None:
        """See whether somebody has stopped it; the version of its record."""
        if not broker.features.runs:
            return None
        record = broker.records(REDRIVE, [self.id]).get(self.id)
        if record is None:
            self.state, self.why = "ended", _GONE
            return None
        kept = _read(record.value)
        if kept.state == "ended":
            self.state, self.why = "ended", kept.why
        return record.version

    def _next(self, broker: Broker, most: int) -> list[str]:
        if self.ids:
            some, self.ids = self.ids[:most], self.ids[most:]
            return some
        if most <= 0:
            return []
        query = MessageQuery(
            queues=[self.queue],
            causes=[self.cause] if self.cause else [],
            died_before=self.before,
            order="oldest",
            limit=min(most, 500),
        )
        return [one.delivery.id for one in broker.find(query).messages]

    def _move(self, broker: Broker, ids: list[str]) -> int:
        if self.to:
            return broker.transfer(self.queue, ids, self.to)
        return broker.redrive(self.queue, ids, len(ids))

    def _dead_again(self, broker: Broker) -> int:
        if not broker.features.inspection or not self.recent:
            return 0
        query = MessageQuery(
            queues=[self.queue], ids=self.recent, died_from=self.started_at, limit=CHUNK
        )
        return len(broker.find(query).messages)


_read = msgspec.json.Decoder(Redrive).decode


def run_redrive(broker: Broker, redrive: Redrive) -> None:
    """All steps of a redrive, a second each where it has a rate. For a thread of its own."""
    condition = threading.Condition()
    try:
        while redrive.step(broker):
            if redrive.rate:
                due = broker.clock.elapsed() + 1.0
                with condition:
                    while (left := due - broker.clock.elapsed()) > 0:
                        broker.clock.wait(condition, left)
    except BrokerError as error:
        log.warning("the redrive of %s ended after %d: %s", redrive.queue, redrive.done, error)
        with suppress(BrokerError):
            redrive.give_up(broker, f"it failed: {type(error).__name__}")


def start_redrive(broker: Broker, redrive: Redrive) -> None:
    """Begin it in a thread."""
    redrive.save(broker)
    threading.Thread(
        target=run_redrive, args=(broker, redrive), name="taskflow-redrive", daemon=True
    ).start()
