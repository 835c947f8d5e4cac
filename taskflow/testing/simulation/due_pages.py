"""The records that are due next, asked of the broker only when they may be others."""

from collections.abc import Callable

from taskflow.broker.change import Change, Put
from taskflow.broker.record import RecordPage, RecordQuery
from taskflow.tasks.cancelling import ANY_CANCELLED, CANCEL

MOST = 64  # pages that are kept
Ask = Callable[[RecordQuery], RecordPage]


class DuePages:
    """Answers `list_records` in the order of `due_at` from what was answered before, until a
    change has written a record of that kind that is due, or one of those that were answered; and
    that no call was cancelled until a change says so.

    A simulated month asks it a hundred thousand times, and mostly nothing has changed.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._pages: dict[int, tuple[RecordQuery, RecordPage]] = {}
        """By the query itself: nobody makes another one each time."""
        self._keys: dict[str, set[str]] = {}
        self._none_cancelled = False

    def __call__(self, query: RecordQuery) -> RecordPage:
        """As `Runs.list_records`."""
        if query is ANY_CANCELLED:
            if self._none_cancelled:
                return RecordPage([], None)
            found = self._ask(query)
            self._none_cancelled = not found.records
            return found
        if (known := self._pages.get(id(query))) is not None:
            return known[1]
        if query.order != "due" or query.states or query.after is not None:
            return self._ask(query)
        page = self._ask(query)
        self._keys.setdefault(query.kind, set()).update(one.key for one in page.records)
        if len(self._pages) < MOST:
            self._pages[id(query)] = query, page
        return page

    def applied(self, change: Change) -> bool:
        """It was made; whether what is due may be something else now."""
        changed = False
        for one in change.records:
            kind = one.kind
            if kind == CANCEL:
                self._none_cancelled = False
            keys = self._keys.get(kind)
            if (type(one) is Put and one.due_at is not None) or (keys and one.key in keys):
                self.forget(kind)
                changed = True
        for counter in change.counters:
            for after in counter.then:
                if isinstance(after, Put):
                    changed |= self.applied(Change(records=[after]))
        return changed

    def forget(self, kind: str | None = None) -> None:
        """Ask again, about this kind or all."""
        self._none_cancelled = self._none_cancelled and kind is not None
        if kind is None:
            self._pages.clear()
            self._keys.clear()
            return
        self._keys.pop(kind, None)
        for number in [at for at, (one, _) in self._pages.items() if one.kind == kind]:
            del self._pages[number]
