"""What nobody's call asks for, and somebody must do: moves go on, what has expired goes."""

from functools import partial

from taskflow.brokers.stored.core import Core
from taskflow.brokers.stored.moves import Moves
from taskflow.stores.rows import Rows


class Upkeep:
    """Small bounded steps, so that nobody waits long for the store. Thread-safe; any number of
    processes may do it."""

    def __init__(self, core: Core, moves: Moves) -> None:
        self._core = core
        self._moves = moves

    def run(self, limit: int = 1000) -> bool:
        """Do a step of each kind; whether there is more to do at once."""
        store = self._core.store
        more = self._moves.step_moves(limit)
        gone = store.transact(lambda rows: rows.records.expire(self._core.now(), limit))
        gone = max(gone, store.transact(lambda rows: rows.sweep(limit)))
        store.transact(lambda rows: rows.forget(self._core.now(), limit))
        for queue in store.look(lambda rows: rows.queues()):
            if store.look(partial(self._holds_old, queue=queue)):
                store.transact(partial(self._drop_old, queue=queue))
                more = True
        return more or gone >= limit

    def _holds_old(self, rows: Rows, *, queue: str) -> bool:
        found = rows.queue(queue)
        if found is None:
            return False
        return rows.any_sent_before(found.id, self._core.now() - found.settings.retention)

    def _drop_old(self, rows: Rows, *, queue: str) -> None:
        found = rows.queue(queue)
        if found is not None:
            rows.expire(found.id, self._core.now() - found.settings.retention)
