"""The broker verbs by which trees of records are handed over to another broker."""

from collections.abc import Collection, Sequence

import msgspec

from taskflow.broker.change import Put, Remove
from taskflow.broker.record import RecordQuery
from taskflow.broker.tree_handover import TREES, Asked, Tree, TreeBatch
from taskflow.brokers.stored.coming_trees import (
    KEPT,
    known_of,
    lacking_of,
    names_of,
    put_in,
    read_roots,
    rings_of,
    taken_trees_name,
    whole,
    write_roots,
)
from taskflow.brokers.stored.core import Core
from taskflow.brokers.stored.leaving_trees import LeavingTrees
from taskflow.stores.rows import Rows

_write = msgspec.json.Encoder().encode
_read_trees = msgspec.json.Decoder(list[Tree]).decode


class HandingTrees:
    """As `broker.tree_handover.TreeHandover`. Thread-safe."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def tree_batches(self) -> list[TreeBatch]:
        """Those on their way, oldest first."""
        query = RecordQuery(kind=TREES, order="oldest", limit=1000)
        found = self._core.store.look(
            lambda rows: rows.records.select(query, None, self._core.now())
        )
        return [TreeBatch(record.key, record.label or "") for _, record in found]

    # ---- trees that leave ---------------------------------------------------------------------
    def hand_out_trees(self, batch: str, to: str, asked: Sequence[Asked]) -> dict[str, list[Tree]]:
        """Take trees out of use, into the batch's record."""

        def work(rows: Rows) -> list[Tree]:
            now = self._core.now()
            names = {f"record/{TREES}/{batch}"}
            for one in asked:
                names.update(f"record/{kind}/{key}" for kind, key, *_ in one.seen)
                names.update(f"key/{key}" for key, _ in one.keys)
            rows.records.lock(names)
            trees = LeavingTrees(rows, asked, now).take_out()
            if trees:
                self._note(rows, batch, to, trees, 0)
            return trees

        def announce(trees: Sequence[Tree]) -> None:
            self._core.waiters.announce(rings_of(trees))

        trees = self._core.store.transact(work, durable=True, committed=announce)
        return {batch: trees} if trees else {}

    def scattered(self, asked: Sequence[Asked]) -> set[str]:
        """None: there is one file."""
        return set()

    def hand_trees_again(self, batch: str) -> list[Tree]:
        """The trees of a batch."""
        found = self._core.store.look(lambda rows: rows.records.find(TREES, [batch], 0.0))
        return _read_trees(found[batch].value) if found else []

    def let_trees_go(self, batch: str, back: Collection[str]) -> list[str]:
        """Forget the batch, but for what comes back."""

        def work(rows: Rows) -> tuple[list[Tree], list[Tree]]:
            now = self._core.now()
            known = rows.records.find(TREES, [batch], 0.0).get(batch)
            if known is None:
                return [], []
            coming = [one for one in _read_trees(known.value) if one.root in back] if back else []
            rows.records.lock([f"record/{TREES}/{batch}", *names_of(coming)])
            found = rows.records.find(TREES, [batch], 0.0).get(batch)
            if found is None or found.version != known.version:
                return [], []  # somebody else was at it
            known_here = known_of(rows, coming, now)
            stay = [one for one in coming if one.root in known_here]
            returned = [one for one in coming if one.root not in known_here]
            put_in(rows, returned, now)
            if stay:
                self._note(rows, batch, found.label or "", stay, found.version)
            else:
                rows.records.remove(Remove(TREES, batch), now)
            return returned, stay

        def announce(found: tuple[Sequence[Tree], object]) -> None:
            self._core.waiters.announce(rings_of(found[0]))

        _, stay = self._core.store.transact(work, durable=bool(back), committed=announce)
        return [one.root for one in stay]

    def _note(self, rows: Rows, batch: str, to: str, trees: Sequence[Tree], expected: int) -> None:
        value = _write(trees).decode()
        put = Put(kind=TREES, key=batch, value=value, label=to, expected=expected)
        rows.records.put(put, self._core.fresh_version(), self._core.now())

    # ---- trees that come ----------------------------------------------------------------------
    def take_in_trees(self, batch: str, trees: Sequence[Tree]) -> list[str]:
        """Store trees of another broker, once."""
        name, trees = taken_trees_name(batch), [whole(one) for one in trees]

        def work(rows: Rows) -> tuple[list[str], list[Tree]]:
            now = self._core.now()
            rows.records.lock([f"change/{name}", *names_of(trees)])
            answer = rows.records.applied(name, now)
            if answer is not None:
                return read_roots(answer), []
            against = known_of(rows, trees, now) | lacking_of(rows, trees, now)
            taken = [one for one in trees if one.root not in against]
            refused = sorted(against)
            put_in(rows, taken, now)
            rows.records.note_applied(name, write_roots(refused), now + KEPT)
            return refused, taken

        def announce(found: tuple[object, Sequence[Tree]]) -> None:
            self._core.waiters.announce(rings_of(found[1]))

        refused, _ = self._core.store.transact(work, durable=True, committed=announce)
        return refused
