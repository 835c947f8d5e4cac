"""Changes of a simulation that are made beside the database: ticks, ends of runs, what is sent."""

from collections.abc import Callable, Sequence

from taskflow.broker.change import Applied, Change, Free, Hide, Put, Settlement, Take
from taskflow.broker.settings import Finish
from taskflow.brokers.stored.application import ring_of
from taskflow.brokers.stored.change_limits import is_name
from taskflow.stores.row import SPOKEN
from taskflow.testing.simulation.kept_keys import KeptKeys
from taskflow.testing.simulation.kept_messages import KeptMessages
from taskflow.testing.simulation.kept_queue import Kept, KeptQueue
from taskflow.testing.simulation.kept_records import KeptRecords, Known, lives

LATEST = float("inf")
MOST_NAMES = 10_000  # that are remembered


Ready = tuple[Change, Sequence[Known], Sequence[tuple[str, Sequence[KeptQueue]]], Kept | None]
"""A change that can be made, with the records that it writes, where it sends to, and the message
that it settles."""


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
        self._names: set[str | None] = {None}
        """Some that may be stored, and none."""

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
        keys, sends, settlements = change.keys, change.sends, change.settlements
        if change.id is not None or change.counters or len(keys) > 1 or len(settlements) > 1:
            return None
        held: Kept | None = None
        if settlements:
            held = self._settled(settlements[0], now)
            if held is None:
                return None
        fence = change.fence
        if (
            fence is not None
            and (held is None or fence is not settlements[0].delivery)
            and self._messages.held(fence) is None
        ):
            return None
        if keys and not self._may_have(keys[0], now):
            return None
        records = []
        for put in change.records:
            known = self._find(put, now) if type(put) is Put else None
            if known is None:
                return None
            records.append(known)
        if len(records) > 1 and len(set(records)) < len(records):
            return None
        where = []
        for send in sends:
            found = self._messages.destinations(send)
            if found is None:
                return None
            where.append(found)
        if len(sends) > 1 and not _are_other_messages(change):
            return None
        return change, records, where, held

    def _settled(self, one: Settlement, now: float) -> Kept | None:
        """The message that is settled, if that can be done here."""
        kind = type(one)
        if kind is not Finish and kind is not Hide:
            return None
        found = self._messages.held(one.delivery)
        if found is not None and type(one) is Hide:
            return found if found.visible_at > now and 0 <= one.seconds < LATEST else None
        return found

    def _may_have(self, key: Take | Free, now: float) -> bool:
        if not (self._is_name(key.key) and is_name(key.holder)):
            return False
        return type(key) is Free or bool(self._keys.may_take(key.key, key.holder, now))

    def _find(self, put: Put, now: float) -> Known | None:
        """The record that it writes over, in the version that it expects."""
        names = self._names
        if (put.label not in names and not self._is_name(put.label)) or (
            put.state not in names and not self._is_name(put.state)
        ):
            return None
        parent = put.parent
        if parent is not None and not is_name(parent):
            return None
        known = self._records.get(put.kind, put.key)
        if known is None or known.record is None:
            if not (self._is_name(put.kind) and is_name(put.key)):
                return None
            known = self._records.find(put.kind, put.key, now)
        record = known.record
        version = 0 if record is None or not lives(record, now) else record.version
        return known if version == put.expected else None

    def _is_name(self, text: str | None) -> bool:
        """As `is_name`, for those that come again and again."""
        if text in self._names:
            return True
        if text is None or not is_name(text):
            return False
        if len(self._names) < MOST_NAMES:
            self._names.add(text)
        return True

    def make(self, ready: Ready, now: float, rings: set[str]) -> Applied:
        """Make it; `rings` gains what has something new."""
        change, records, where, held = ready
        for key in change.keys:
            if type(key) is Take:
                self._keys.take(key.key, key.holder, key.until)
            else:
                self._keys.free(key.key, key.holder)
        versions = []
        for put, known in zip(change.records, records, strict=True):
            assert type(put) is Put
            versions.append(self._records.put(put, known, self._fresh(), now))
            if put.rings:
                rings.add(ring_of(put.kind, put.key))
        sent = []
        for send, (topic, queues) in zip(change.sends, where, strict=True):
            for queue in queues:
                rings.add(queue.name)
            sent.append(self._messages.add(topic, queues, send.messages, now))
        if held is None:
            return Applied(versions=versions, counts=[], sent=sent, settled=[])
        one = change.settlements[0]
        if type(one) is Finish:
            self._messages.finish(held, one, now)
        elif type(one) is Hide:
            rings.add(one.delivery.queue)
            one.delivery.visible_at = until = now + one.seconds
            held.hide(until, SPOKEN)
        return Applied(versions=versions, counts=[], sent=sent, settled=[True])


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
