"""The records that are due next, asked of the broker only when they may be others."""

from collections.abc import Callable, Sequence

from taskflow.broker.change import Applied, Change, Put, Remove
from taskflow.broker.record import RecordPage, RecordQuery
from taskflow.tasks.cancelling import ANY_CANCELLED, CANCEL

Ask = Callable[[RecordQuery], RecordPage]


class DuePages:
    """Answers `list_records` in the order of `due_at` from what was answered before, until a
    change has written a record of that kind that is due, or one of those that were answered; and
    that no call was cancelled until a change says so.

    A simulated month asks it a hundred thousand times, and mostly nothing has changed.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._pages: dict[RecordQuery, RecordPage] = {}
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
        if query.order != "due" or query.states or query.after is not None:
            return self._ask(query)
        page = self._pages.get(query)
        if page is None:
            page = self._pages[query] = self._ask(query)
            self._keys.setdefault(query.kind, set()).update(one.key for one in page.records)
        return page

    def applied(self, changes: Sequence[Change], answers: Sequence[Applied]) -> bool:
        """These were made; whether what is due may be something else now."""
        changed = False
        for change, answer in zip(changes, answers, strict=True):
            if answer.refused is None:
                for one in change.records:
                    changed |= self._wrote(one)
                for counter in change.counters:
                    for after in counter.then:
                        if isinstance(after, Put):
                            changed |= self._wrote(after)
        return changed

    def _wrote(self, one: Put | Remove) -> bool:
        kind = one.kind
        if kind == CANCEL:
            self._none_cancelled = False
        is_due = isinstance(one, Put) and one.due_at is not None
        if not is_due and one.key not in self._keys.get(kind, ()):
            return False
        self.forget(kind)
        return True

    def forget(self, kind: str | None = None) -> None:
        """Ask again, about this kind or all."""
        self._none_cancelled = self._none_cancelled and kind is not None
        if kind is None:
            self._pages.clear()
            self._keys.clear()
            return
        self._keys.pop(kind, None)
        for query in [one for one in self._pages if one.kind == kind]:
            del self._pages[query]
