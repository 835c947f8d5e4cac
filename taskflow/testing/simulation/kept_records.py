"""Records of a simulation that are kept beside the database: read once, written when asked for."""

from bisect import insort
from collections.abc import Callable
from itertools import count
from typing import Any, NamedTuple

from taskflow.broker.change import Put
from taskflow.broker.record import Record, RecordPage, RecordQuery
from taskflow.stores.sqlite.put_away import PutAway

Look = Callable[[Callable[[Any], Any]], Any]
"""Looks at the rows of the store."""
_NEW = 2**60  # the number of the first record that the store has not seen yet
_MOST_DUE = 1000
MOST = 10_000  # records that are remembered although the store has them


class Known:
    """A record as it is by now. `new`: the store has seen nothing of it. `stored`: it may have
    a row of this key. `number` orders records as they were made, where it is known."""

    __slots__ = ("new", "number", "record", "stored")

    def __init__(self, record: Record | None, stored: bool, number: int | None) -> None:
        self.record = record
        self.stored = stored
        self.number = number
        self.new = False


class _Due(NamedTuple):
    due_at: float
    number: int
    record: Record


class KeptRecords:
    """Knows each record that it was asked for until `forget`. Whoever else writes records lets it
    write its own before (`put_away`), and forget."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._known: dict[tuple[str, str], Known] = {}
        self._changed: dict[tuple[str, str], Known] = {}  # new ones as they were made
        self._complete: dict[str, bool] = {}  # by kind: whether all that the store has are known
        self._due: dict[str, list[_Due]] = {}
        self._numbers = count(_NEW)

    def get(self, kind: str, key: str) -> Known | None:
        """What is known already."""
        return self._known.get((kind, key))

    def find(self, kind: str, key: str, now: float) -> Known:
        """The record of that key, which may be none or expired."""
        known = self._known.get((kind, key))
        if known is None:
            complete = self._complete.get(kind)
            if complete is None:
                complete = not self._look(lambda rows: rows.kept.has_records(kind))
                self._complete[kind] = complete
            found = None
            if not complete:
                found = self._look(lambda rows: rows.records.find(kind, [key], now)).get(key)
            # (One that has expired may be there still.)
            known = self._known[kind, key] = Known(found, not complete, None)
        return known

    def put(self, put: Put, known: Known, fresh: int, now: float) -> int:
        """Write one, whose version was looked at; answers its version."""
        before = known.record
        version, made, counted = fresh, now, 0
        if put.expected:
            assert before is not None
            version, made, counted = put.expected + 1, before.created_at, before.count
        record = Record(
            kind=put.kind,
            key=put.key,
            version=version,
            value=put.value,
            parent=put.parent,
            label=put.label,
            state=put.state,
            due_at=put.due_at,
            expires_at=put.expires_at,
            count=counted,
            created_at=made,
            changed_at=now,
        )
        if not put.expected:  # the newest of its kind
            name = put.kind, put.key
            self._changed.pop(name, None)
            if before is not None and before.due_at is not None:
                self._due.pop(put.kind, None)
            known.number, known.new = next(self._numbers), True
            page = self._due.get(put.kind)
        else:
            page = self._moved(self._due.get(put.kind), known, record)
        known.record = record
        self._changed[put.kind, put.key] = known
        if page is not None and record.due_at is not None:
            assert known.number is not None
            insort(page, _Due(record.due_at, known.number, record), key=_place)
        return version

    def _moved(self, page: list[_Due] | None, known: Known, record: Record) -> list[_Due] | None:
        """The page of what is due without what it was before; None when its place is not known."""
        before = known.record
        if page is None or before is None:
            return None
        if before.due_at is not None:
            for at, one in enumerate(page):
                if one.record.key == record.key:
                    known.number = one.number
                    del page[at]
                    return page
        elif record.due_at is None or known.number is not None:
            return page
        del self._due[record.kind]
        return None

    def knows_due(self, kind: str) -> bool:
        """Whether `list_due` needs no look at the store."""
        return kind in self._due

    def list_due(self, query: RecordQuery, now: float) -> RecordPage | None:
        """What is due of a kind; None when that is not to be said without the store."""
        if query != RecordQuery(kind=query.kind, order="due", limit=query.limit):
            return None
        page = self._due.get(query.kind)
        if page is None:
            page = self._read_due(query.kind, now)
        if page is None or len(page) >= query.limit:
            return None
        return RecordPage([one.record for one in page if lives(one.record, now)], None)

    def _read_due(self, kind: str, now: float) -> list[_Due] | None:
        every = RecordQuery(kind=kind, order="due", limit=_MOST_DUE)
        found = self._look(lambda rows: rows.records.select(every, None, now))
        if len(found) == _MOST_DUE:
            return None
        page = self._due[kind] = []
        for number, record in found:
            known = self._known.setdefault((kind, record.key), Known(record, True, None))
            known.number = number
            page.append(_Due(record.due_at, number, record))
        return page

    def expire(self, now: float) -> None:
        """Let go what the store never had, and is not there any more."""
        gone = [
            name
            for name, one in self._changed.items()
            if not one.stored and one.record is not None and not lives(one.record, now)
        ]
        for name in gone:
            del self._known[name], self._changed[name]
        if len(self._known) - len(self._changed) > MOST:  # what the store has can be read again
            self._known = dict(self._changed)
            self._complete = dict.fromkeys(self._complete, False)

    def put_away(self, kind: str | None = None, *, rewritten: bool = False) -> PutAway:
        """What is to be written, and is taken for written from now on: all of it, or of this kind,
        or where the store has what it was before."""
        changed = [
            (name, one)
            for name, one in self._changed.items()
            if (kind is None or name[0] == kind) and not (rewritten and one.new)
        ]
        kept = PutAway(
            replaced=[name for name, one in changed if one.new and one.stored],
            new_records=[one.record for _, one in changed if one.new and one.record is not None],
            records=[one.record for _, one in changed if not one.new and one.record is not None],
        )
        for name, one in changed:
            one.new, one.stored = False, True
            del self._changed[name]
        return kept

    def forget(self) -> None:
        """Somebody else may write. All was put away."""
        self._known.clear()
        self._complete.clear()
        self._changed.clear()
        self._due.clear()


def _place(one: _Due) -> tuple[float, int]:
    return one.due_at, one.number


def lives(record: Record, now: float) -> bool:
    """Whether it has not expired."""
    return record.expires_at is None or record.expires_at > now
