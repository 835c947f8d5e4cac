"""What nobody's call asks for, and somebody must do: moves go on, what has expired goes."""

from functools import partial

from taskflow.brokers.stored.core import Core
from taskflow.brokers.stored.moves import Moves
from taskflow.stores.rows import Rows

SLOTS = 100  # of those for which something is parked, in one step


class Upkeep:
    """Small bounded steps, so that nobody waits long for the store. Thread-safe; any number of
    processes may do it."""

    def __init__(self, core: Core, moves: Moves) -> None:
        self._core = core
        self._moves = moves
        self._parked = (0, "")  # the slot that was looked at last

    def run(self, limit: int = 1000) -> bool:
        """Do a step of each kind; whether there is more to do at once."""
        more = self._moves.step_moves(limit)
        return self.clean(limit) or more

    def clean(self, limit: int) -> bool:
        """All but the moves."""
        store, part = self._core.store, max(1, limit // 3)

        def look(rows: Rows) -> tuple[bool, list[tuple[int, str]], list[str]]:
            old = [queue for queue in rows.queues() if self._holds_old(rows, queue)]
            return rows.any_gone(self._core.now()), rows.parked(self._parked, SLOTS), old

        def drop(rows: Rows) -> int:
            now = self._core.now()
            rows.letters.forget(now)
            return max(rows.records.expire(now, part), rows.sweep(part), rows.forget(now, part))

        any_gone, parked, old = store.look(look)
        gone = store.transact(drop) if any_gone else 0
        self._unpark(parked)
        for queue in old:
            store.transact(partial(self._drop_old, queue=queue))
        return bool(old) or gone >= part

    def _unpark(self, found: list[tuple[int, str]]) -> None:
        """Look again at what waits for slots: some may have become free without a word, or more
        may be allowed now."""
        store = self._core.store
        self._parked = found[-1] if len(found) == SLOTS else (0, "")

        def unpark(rows: Rows) -> set[str]:
            rows_of = [(rows.queue_of(queue), slot) for queue, slot in found]
            return {
                queue.name
                for queue, slot in rows_of
                if queue is not None and rows.unpark(queue.id, [slot])
            }

        if found:
            store.transact(unpark, committed=self._core.waiters.announce)

    def _holds_old(self, rows: Rows, queue: str) -> bool:
        found = rows.queue(queue)
        if found is None:
            return False
        return rows.any_sent_before(found.id, self._core.now() - found.settings.retention)

    def _drop_old(self, rows: Rows, *, queue: str) -> None:
        found = rows.queue(queue)
        if found is not None:
            rows.expire(found.id, self._core.now() - found.settings.retention)
