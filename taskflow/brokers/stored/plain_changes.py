"""The short way of a change that keeps one step of a run, as nearly every checkpoint is."""

from collections.abc import Callable, Sequence
from typing import cast

from taskflow.broker.change import Applied, Change, Put
from taskflow.brokers.stored.change_limits import is_name, is_version
from taskflow.brokers.stored.core import Core
from taskflow.brokers.stored.lookup import find_queue
from taskflow.brokers.stored.receipts import held
from taskflow.errors import FileReplaced
from taskflow.stores.plain_keeping import PlainKeeping
from taskflow.stores.row import Held
from taskflow.stores.rows import Rows

_Keep = Callable[[str, Held, float, int, Put, Put | None], bool]


class PlainChanges:
    """Thread-safe. Makes a change that writes one new record, or one and another in place of what
    was there, under a fence; what it declines the general way makes, or says why not."""

    def __init__(self, core: Core, keeping: PlainKeeping) -> None:
        self._core = core
        self._keeping = keeping

    def make(self, change: Change, *, durable: bool) -> Applied | None:
        """Have it committed, and as safe as is asked for. None when it was declined."""
        made = self._make(change, self._core.now(), self._keeping.keep)
        if made is None:
            self._keeping.prepare()
        elif durable:
            try:
                self._core.store.sync()
            except FileReplaced:  # nobody was answered: the new file knows nothing of its fence
                return None
        return made

    def prepare(self, changes: Sequence[Change]) -> None:
        """They are about to be made in one transaction."""
        if any(_is_plain(change) for change in changes):
            self._keeping.prepare()

    def make_within(self, change: Change, now: float) -> Applied | None:
        """Make it in the transaction that the caller is in. None when it was declined."""
        return self._make(change, now, self._keeping.keep_within)

    def learn(self, rows: Rows, change: Change) -> None:
        """It was made the general way: the next one of its queue may go the short one."""
        if _is_plain(change) and change.fence is not None:
            queue = change.fence.queue
            if not self._keeping.knows(queue):
                self._keeping.learn(find_queue(rows, queue))

    def _make(self, change: Change, now: float, keep: _Keep) -> Applied | None:
        fence = change.fence
        if fence is None or not _is_plain(change):
            return None
        new, other = cast(Put, change.records[0]), None
        if len(change.records) == 2:
            other = cast(Put, change.records[1])
        version = self._core.fresh_version()
        if not keep(fence.queue, held(fence), now, version, new, other):
            return None
        if other is None:
            return Applied(versions=[version])
        return Applied(versions=[version, cast(int, other.expected) + 1])


def _is_plain(change: Change) -> bool:
    """Whether it does nothing beside that."""
    records = change.records
    if (
        change.settlements
        or not 1 <= len(records) <= 2
        or change.sends
        or change.counters
        or change.keys
        or change.id is not None
    ):
        return False
    new = records[0]
    if not (isinstance(new, Put) and new.expected == 0 and new.state is None and _stays(new)):
        return False
    if len(records) == 1:
        return True
    other = records[1]
    return (
        isinstance(other, Put)
        and other.expected is not None
        and other.expected > 0
        and is_version(other.expected)
        and _stays(other)
    )


def _stays(put: Put) -> bool:
    """Whether a record can be stored as it is, wakes nobody, and is due or over at no time."""
    if put.due_at is not None or put.expires_at is not None or put.rings:
        return False
    return (
        is_name(put.kind)
        and is_name(put.key)
        and (put.parent is None or is_name(put.parent))
        and (put.label is None or is_name(put.label))
        and (put.state is None or is_name(put.state))
    )
