"""One change on its way into the store: all of it, in the order of its fields."""

from collections.abc import Callable, Sequence

import msgspec

from taskflow.broker.change import (
    Add,
    Applied,
    Bury,
    Change,
    GiveBack,
    Hide,
    Keep,
    Publish,
    Put,
    Remove,
    Send,
    Settlement,
    Take,
)
from taskflow.broker.settings import Finish, Sent
from taskflow.brokers.stored.change_limits import check_change
from taskflow.brokers.stored.fanout import Wanted, has_filters
from taskflow.brokers.stored.finishing import Finishing
from taskflow.brokers.stored.intake import Intake
from taskflow.brokers.stored.lookup import find_queue
from taskflow.brokers.stored.receipts import held
from taskflow.brokers.stored.settle import bury_held, finish, free_slots, keeps_others_back
from taskflow.brokers.stored.waiters import RECORD
from taskflow.errors import LeaseLost
from taskflow.limits import check_slot
from taskflow.message import Delivery
from taskflow.stores.rows import Rows

_NO_FILTERS = Wanted((), ())


class Filtered(Exception):
    """A topic has filters that were not asked yet."""


class Answer(msgspec.Struct):
    """What is kept of an applied change that has an id."""

    versions: list[int]
    counts: list[int | None]
    sent: list[list[Sent]]
    settled: list[bool]


_write = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(Answer).decode


class Application:
    """One change on its way into the store."""

    def __init__(
        self,
        rows: Rows,
        change: Change,
        intake: Intake,
        wanted: dict[int, Wanted],
        now: float,
        fresh: Callable[[], int],
    ) -> None:
        self._rows = rows
        self._change = change
        self._intake = intake
        self._wanted = wanted
        self._now = now
        self._fresh = fresh
        self.finishing: Finishing | None = None
        """Where what is acknowledged waits for that of the other changes, if it can."""
        self.fenced_first = True
        """Whether the fence is looked at before all else, although that may be told in the end."""
        self.rings: set[str] = set()
        self.handled: dict[int, int] = {}
        """How many messages it acknowledged, by queue."""

    def make(self) -> Applied:
        """Do all of it. Raises BrokerError when it cannot be."""
        rows, change, now = self._rows, self._change, self._now
        check_change(change)
        if change.id is not None and (known := rows.records.applied(change.id, now)) is not None:
            return repeated(known)
        fence = change.fence
        if fence is not None and (self.fenced_first or not self._finishes(fence)):
            check_fence(rows, fence, now)
        for key in change.keys:
            if isinstance(key, Take):
                rows.records.take(key.key, key.holder, key.until, now)
            else:
                rows.records.free(key.key, key.holder)
        versions = write_records(rows, change.records, self._fresh, now, self.rings)
        counts = [self._add(add) for add in change.counters]
        sent = [self._send(one) for one in change.sends]
        settled: list[bool] = []
        for settlement in change.settlements:
            later = self.finishing
            if later is not None and isinstance(settlement, Finish) and later.takes(settlement):
                later.add(settlement, settled)
            else:
                settled.append(self._settle(settlement))
        if change.id is not None:
            note(rows, change, Answer(versions, counts, sent, settled), now)
        return Applied(versions=versions, counts=counts, sent=sent, settled=settled)

    def _finishes(self, fence: Delivery) -> bool:
        """Whether the change itself acknowledges its fence: then that tells whether it holds."""
        for one in self._change.settlements:
            if isinstance(one, Finish) and one.delivery is fence:
                return True
        return False

    def _add(self, add: Add) -> int | None:
        count = self._rows.records.add(add, self._now)
        if count == 0:
            for one in add.then:
                if isinstance(one, Put):
                    write_records(self._rows, [one], self._fresh, self._now, self.rings)
                else:
                    self._send(one)
        return count

    def _send(self, send: Send | Publish) -> list[Sent]:
        rows, now = self._rows, self._now
        if isinstance(send, Send):
            queue = find_queue(rows, send.queue)
            self.rings.add(queue.name)
            return self._intake.add(rows, queue, "", send.messages, now)
        wanted = self._wanted.get(id(send), _NO_FILTERS)
        targets = rows.subscribed(send.topic)
        if targets != wanted.targets and has_filters(targets):
            raise Filtered
        self.rings.update(target.queue.name for target in targets)
        return self._intake.publish(rows, send.topic, targets, send.messages, wanted, now)

    def _settle(self, one: Settlement) -> bool:
        rows, now = self._rows, self._now
        queue = find_queue(rows, one.delivery.queue)
        match one:
            case Finish():
                (done,) = finish(rows, queue, [one], now, fenced=True, tally=False)
                if not done and one.delivery is self._change.fence:
                    (state,) = rows.leases(queue.id, [held(one.delivery)], now)
                    raise _lost(one.delivery, state)
                self.handled[queue.id] = self.handled.get(queue.id, 0) + done
                if keeps_others_back(one.delivery):
                    self.rings.add(queue.name)
                return done
            case Bury():
                moved, rung = bury_held(rows, queue, [(one.delivery, one.failure)], now)
                self.rings |= rung
                return moved[0]
        self.rings.add(queue.name)  # parked receivers reckoned with the old time
        if isinstance(one, GiveBack):
            if one.slot is not None:
                check_slot(one.slot)
            (done,) = rows.release(queue.id, [held(one.delivery)], now, one.slot)
        else:
            until, spoken = now + one.seconds, isinstance(one, Hide)
            (done,) = rows.hide(queue.id, [(held(one.delivery), until)], now, spoken)
        if not isinstance(one, Keep):
            free_slots(rows, queue, [one.delivery])
        return done


def check_fence(rows: Rows, fence: Delivery, now: float) -> None:
    """Raise LeaseLost unless its lease holds."""
    queue = find_queue(rows, fence.queue)
    state = rows.fence(queue.id, held(fence), now)
    if state != "held" and (queue.fifo or state != "lapsed"):
        raise _lost(fence, state)


def write_records(
    rows: Rows,
    records: Sequence[Put | Remove],
    fresh: Callable[[], int],
    now: float,
    rings: set[str],
) -> list[int]:
    """Write them in order; answers their versions, and adds to `rings` what is to ring."""
    versions = []
    for record in records:
        if isinstance(record, Put):
            if record.rings:
                rings.add(ring_of(record.kind, record.key))
            versions.append(rows.records.put(record, fresh(), now))
        else:
            rows.records.remove(record, now)
            versions.append(0)
            rings.add(ring_of(record.kind, record.key))
    return versions


def note(rows: Rows, change: Change, answer: Answer, now: float) -> None:
    """Keep what became of a change that has an id."""
    assert change.id is not None
    rows.records.note_applied(change.id, text_of(answer), now + change.remembered)


def text_of(answer: Answer) -> str:
    """As it is kept."""
    return _write(answer).decode()


def repeated(known: str) -> Applied:
    """What is answered when one is made again, of which this was noted."""
    answer = _read(known)
    return Applied(
        versions=answer.versions,
        counts=answer.counts,
        sent=answer.sent,
        settled=answer.settled,
        repeated=True,
    )


def _lost(fence: Delivery, state: str) -> LeaseLost:
    return LeaseLost(
        f"message {fence.id!r} of queue {fence.queue!r} is no longer held: its receipt is {state}"
    )


def ring_of(kind: str, key: str) -> str:
    """What rings when a record changes: no queue is called so."""
    return f"{RECORD}{kind}/{key}"
