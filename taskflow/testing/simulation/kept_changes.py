"""Changes of a simulation that are made beside the database: ticks, ends of runs, what is sent."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from taskflow.broker.change import Applied, Change, Hide, Put, Take
from taskflow.broker.settings import Finish
from taskflow.brokers.stored.application import ring_of
from taskflow.brokers.stored.change_limits import LONGEST_NAME
from taskflow.stores.row import SPOKEN
from taskflow.testing.simulation.kept_keys import KeptKeys
from taskflow.testing.simulation.kept_messages import KeptMessages
from taskflow.testing.simulation.kept_queue import Kept, KeptQueue
from taskflow.testing.simulation.kept_records import KeptRecords, Known, lives

LATEST = float("inf")


class Ready(NamedTuple):
    """A change that can be made, and what it needs."""

    change: Change
    records: Sequence[tuple[Put, Known]]
    sends: Sequence[tuple[str, Sequence[KeptQueue]]]
    settled: Kept | None


class KeptChanges:
    """Makes them of records, keys and messages that are kept. `fresh` gives the version of a record
    that is new."""

    def __init__(
        self,
        records: KeptRecords,
        keys: KeptKeys,
        messages: KeptMessages,
        fresh: Callable[[], int],
    ) -> None:
        self._records = records
        self._keys = keys
        self._messages = messages
        self._fresh = fresh

    def prepare(self, changes: Sequence[Change], now: float) -> list[Ready] | None:
        """See that all of them can be made here, and nothing refuses any; None if not. Nothing is
        made."""
        ready = []
        for change in changes:
            one = self._prepare(change, now)
            if one is None:
                return None
            ready.append(one)
        return ready if len(ready) == 1 or _are_apart(changes) else None

    def _prepare(self, change: Change, now: float) -> Ready | None:
        if change.id is not None or change.counters:
            return None
        held = self._messages.held
        if change.fence is not None and held(change.fence) is None:
            return None
        if len(change.keys) > 1 or len(change.settlements) > 1:
            return None
        for key in change.keys:
            if not (_is_name(key.key) and _is_name(key.holder)):
                return None
            if isinstance(key, Take) and not self._keys.may_take(key.key, key.holder, now):
                return None
        records = []
        for put in change.records:
            if not isinstance(put, Put) or (known := self._find(put, now)) is None:
                return None
            records.append((put, known))
        if len(records) > 1 and len({id(known) for _, known in records}) < len(records):
            return None
        sends = []
        for send in change.sends:
            to = self._messages.destinations(send)
            if to is None:
                return None
            sends.append(to)
        if len(sends) > 1 and not _are_other_messages(change):
            return None
        settled: Kept | None = None
        for one in change.settlements:
            settled = held(one.delivery) if isinstance(one, Finish | Hide) else None
            if settled is None:
                return None
            if isinstance(one, Hide) and not (
                settled.visible_at > now and 0 <= one.seconds < LATEST
            ):
                return None
        return Ready(change, records, sends, settled)

    def _find(self, put: Put, now: float) -> Known | None:
        """The record that it writes over, in the version that it expects."""
        if put.expected is None or not (_is_name(put.kind) and _is_name(put.key)):
            return None
        for name in (put.parent, put.label, put.state):
            if name is not None and not _is_name(name):
                return None
        known = self._records.find(put.kind, put.key, now)
        record = known.record
        version = 0 if record is None or not lives(record, now) else record.version
        return known if version == put.expected else None

    def make(self, ready: Ready, now: float, rings: set[str]) -> Applied:
        """Make it; `rings` gains what has something new."""
        change = ready.change
        for key in change.keys:
            if isinstance(key, Take):
                self._keys.take(key.key, key.holder, key.until)
            else:
                self._keys.free(key.key, key.holder)
        versions = []
        for put, known in ready.records:
            versions.append(self._records.put(put, known, self._fresh(), now))
            if put.rings:
                rings.add(ring_of(put.kind, put.key))
        sent = []
        for send, (topic, queues) in zip(change.sends, ready.sends, strict=True):
            rings.update([one.name for one in queues])
            sent.append(self._messages.add(topic, queues, send.messages, now))
        settled = []
        for one in change.settlements:
            assert ready.settled is not None
            if isinstance(one, Finish):
                self._messages.finish(ready.settled, one, now)
            elif isinstance(one, Hide):
                rings.add(one.delivery.queue)
                one.delivery.visible_at = now + one.seconds
                ready.settled.hide(now + one.seconds, SPOKEN)
            settled.append(True)
        return Applied(versions=versions, counts=[], sent=sent, settled=settled)


def _is_name(text: str) -> bool:
    """Whether it may be stored, at first sight."""
    return 0 < len(text) <= LONGEST_NAME and text.isascii()


def _are_other_messages(change: Change) -> bool:
    """Whether each message that it sends is another one."""
    ids = [message.id for send in change.sends for message in send.messages]
    return len(set(ids)) == len(ids)


def _are_apart(changes: Sequence[Change]) -> bool:
    """Whether none of them touches what another one does."""
    touched: list[object] = []
    for change in changes:
        touched += [key.key for key in change.keys]
        touched += [(one.kind, one.key) for one in change.records]
        touched += [message.id for send in change.sends for message in send.messages]
        touched += [one.delivery.receipt for one in change.settlements]
    return len(set(touched)) == len(touched)
