"""What a change means where records are shared: from what there is to what is to be written.

Pure: it is handed what was read, the time and the numbers, and touches no place. The contract is
that of `taskflow.broker.change`; of a change it takes id, keys, records and counters.
"""

from collections.abc import Callable

import msgspec

from taskflow.broker.change import Add, Applied, Change, Put, Remove, Take
from taskflow.broker.record import Record
from taskflow.coordination.record_store import Holding, Kept, Names, Note, RecordName, Things
from taskflow.errors import BrokerUnavailable, KeyTaken, VersionConflict


class _Answer(msgspec.Struct, array_like=True):
    """What is noted of a change that has an id."""

    versions: list[int]
    counts: list[int | None]


_write = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(_Answer).decode


def _read_answer(id: str, text: str) -> _Answer:
    try:
        return _read(text)
    except msgspec.MsgspecError as error:
        raise BrokerUnavailable(f"what change {id!r} was answered is not ours: {error}") from error


def names_of(change: Change) -> Names:
    """All that a change looks at or writes."""
    then = [one for add in change.counters for one in add.then if isinstance(one, Put)]
    records = {(one.kind, one.key) for one in (*change.records, *change.counters, *then)}
    return Names(
        sorted(records),
        sorted({one.key for one in change.keys}),
        [] if change.id is None else [change.id],
    )


def alive(expires_at: float | None, now: float) -> bool:
    """Whether what expires then is still there."""
    return expires_at is None or expires_at > now


class ChangePlan:
    """One change over what was read. `seen` is as it lies there, expired or not.

    `fresh` makes the version of a record that is new, `turn` its number. After `work_out`,
    `written` is what is to be written, and `answer` what the change is answered with.
    """

    def __init__(
        self,
        change: Change,
        seen: Things,
        now: float,
        fresh: Callable[[], int],
        turn: Callable[[], int],
    ) -> None:
        self._change = change
        self._seen = seen
        self._now = now
        self._fresh = fresh
        self._turn = turn
        self.written = Things()
        self.answer = Applied()

    def work_out(self) -> Things:
        """Answers `written`. Raises VersionConflict and KeyTaken, and BrokerUnavailable for a note
        that cannot be read."""
        change, now = self._change, self._now
        if change.id is not None:
            note = self._seen.changes.get(change.id)
            if note is not None and note.expires_at > now:
                known = _read_answer(change.id, note.answer)
                self.answer = Applied(versions=known.versions, counts=known.counts, repeated=True)
                return self.written
        for key in change.keys:
            if isinstance(key, Take):
                self._take(key)
            elif self._holding(key.key, key.holder):
                self._free(key.key)
        versions = [
            self._put(one) if isinstance(one, Put) else self._remove(one) for one in change.records
        ]
        counts = [self._add(one) for one in change.counters]
        if change.id is not None:
            noted = _write(_Answer(versions, counts)).decode()
            self.written.changes[change.id] = Note(noted, now + change.remembered)
        self.answer = Applied(versions=versions, counts=counts)
        return self.written

    def _holding(self, key: str, holder: str) -> bool:
        """Whether this holder has a key, be its time over or not."""
        found = self._key(key)
        return found is not None and found.holder == holder

    def _free(self, key: str) -> None:
        if key in self._seen.keys:
            self.written.keys[key] = None
        else:
            del self.written.keys[key]

    def _key(self, key: str) -> Holding | None:
        if key in self.written.keys:
            return self.written.keys[key]
        return self._seen.keys.get(key)

    def _take(self, take: Take) -> None:
        found = self._key(take.key)
        if found is not None and found.holder != take.holder and alive(found.until, self._now):
            raise KeyTaken(take.key, found.holder, found.until)
        self.written.keys[take.key] = Holding(take.holder, take.until)

    def _find(self, name: RecordName) -> Kept | None:
        """A record that has not expired."""
        written = self.written.records
        found = written[name] if name in written else self._seen.records.get(name)
        if found is None or not alive(found.record.expires_at, self._now):
            return None
        return found

    def _check(self, name: RecordName, expected: int | None, found: Kept | None) -> None:
        version = 0 if found is None else found.record.version
        if expected is not None and version != expected:
            raise VersionConflict(*name, expected, version)

    def _put(self, put: Put) -> int:
        name, now = (put.kind, put.key), self._now
        found = self._find(name)
        self._check(name, put.expected, found)
        before = None if found is None else found.record
        record = Record(
            kind=put.kind,
            key=put.key,
            version=self._fresh() if before is None else before.version + 1,
            value=put.value,
            parent=put.parent,
            label=put.label,
            state=put.state,
            due_at=put.due_at,
            expires_at=put.expires_at,
            count=0 if before is None else before.count,
            created_at=now if before is None else before.created_at,
            changed_at=now,
        )
        number = self._turn() if found is None else found.number
        self.written.records[name] = Kept(record, number)
        return record.version

    def _remove(self, remove: Remove) -> int:
        name = (remove.kind, remove.key)
        self._check(name, remove.expected, self._find(name))
        if name in self._seen.records:
            self.written.records[name] = None
        else:  # it was made by this change, if at all
            self.written.records.pop(name, None)
        return 0

    def _add(self, add: Add) -> int | None:
        name = (add.kind, add.key)
        found = self._find(name)
        if found is None:
            return None
        count = found.record.count + add.by
        record = msgspec.structs.replace(found.record, count=count)
        self.written.records[name] = Kept(record, found.number)
        if count == 0:
            for one in add.then:
                if isinstance(one, Put):
                    self._put(one)
        return count
