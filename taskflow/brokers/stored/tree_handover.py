"""The broker verbs by which trees of records are handed over to another broker."""

from collections.abc import Collection, Iterable, Sequence
from itertools import groupby

import msgspec

from taskflow.broker.change import Put, Remove
from taskflow.broker.record import RecordQuery
from taskflow.broker.tree_handover import TREES, Asked, Tree, TreeBatch
from taskflow.brokers.stored.application import ring_of
from taskflow.brokers.stored.core import Core
from taskflow.brokers.stored.leaving_trees import take_out
from taskflow.brokers.stored.taken_batches import store
from taskflow.errors import KeyTaken
from taskflow.stores.rows import Rows

KEPT = 10 * 365 * 86400.0
"""Seconds that it is noted what was taken in: a run may live for years, and a batch that is not
known any more would put a second one into the world."""

_write = msgspec.json.Encoder().encode
_read_trees = msgspec.json.Decoder(list[Tree]).decode
_read_roots = msgspec.json.Decoder(list[str]).decode


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
    def hand_out_trees(self, batch: str, to: str, asked: Sequence[Asked]) -> list[Tree]:
        """Take trees out of use, into the batch's record."""

        def work(rows: Rows) -> list[Tree]:
            now = self._core.now()
            names = {f"record/{TREES}/{batch}"}
            for one in asked:
                names.update(f"record/{kind}/{key}" for kind, key, *_ in one.seen)
                names.update(f"key/{key}" for key, _ in one.keys)
            rows.records.lock(names)
            trees = [tree for one in asked if (tree := take_out(rows, one, now)) is not None]
            if trees:
                self._note(rows, batch, to, trees, 0)
            return trees

        def announce(trees: Sequence[Tree]) -> None:
            self._core.waiters.announce(_rings(trees))

        return self._core.store.transact(work, durable=True, committed=announce)

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
            rows.records.lock([f"record/{TREES}/{batch}", *_names(coming)])
            found = rows.records.find(TREES, [batch], 0.0).get(batch)
            if found is None or found.version != known.version:
                return [], []  # somebody else was at it
            stay = [one for one in coming if _is_known(rows, one, now)]
            returned = [one for one in coming if one not in stay]
            for one in returned:
                _put_in(rows, one, now)
            if stay:
                self._note(rows, batch, found.label or "", stay, found.version)
            else:
                rows.records.remove(Remove(TREES, batch), now)
            return returned, stay

        def announce(found: tuple[Sequence[Tree], object]) -> None:
            self._core.waiters.announce(_rings(found[0]))

        _, stay = self._core.store.transact(work, durable=bool(back), committed=announce)
        return [one.root for one in stay]

    def _note(self, rows: Rows, batch: str, to: str, trees: Sequence[Tree], expected: int) -> None:
        value = _write(trees).decode()
        put = Put(kind=TREES, key=batch, value=value, label=to, expected=expected)
        rows.records.put(put, self._core.fresh_version(), self._core.now())

    # ---- trees that come ----------------------------------------------------------------------
    def take_in_trees(self, batch: str, trees: Sequence[Tree]) -> list[str]:
        """Store trees of another broker, once."""
        name = f"{TREES}/{batch}"

        def work(rows: Rows) -> tuple[list[str], list[Tree]]:
            now = self._core.now()
            rows.records.lock([f"change/{name}", *_names(trees)])
            answer = rows.records.applied(name, now)
            if answer is not None:
                return _read_roots(answer), []
            refused, taken = list[str](), list[Tree]()
            for one in trees:
                if _is_known(rows, one, now) or _lacks_something(rows, one, now):
                    refused.append(one.root)
                else:
                    _put_in(rows, one, now)
                    taken.append(one)
            rows.records.note_applied(name, _write(refused).decode(), now + KEPT)
            return refused, taken

        def announce(found: tuple[object, Sequence[Tree]]) -> None:
            self._core.waiters.announce(_rings(found[1]))

        refused, _ = self._core.store.transact(work, durable=True, committed=announce)
        return refused


def _put_in(rows: Rows, tree: Tree, now: float) -> None:
    rows.handover.restore(tree.records)
    for key, holder, until in tree.keys:
        try:
            rows.records.take(key, holder, until, now)
        except KeyTaken:  # of a tree that comes back: it goes on without it
            continue
    for queue, some in groupby(tree.messages, key=lambda one: one.queue):
        if rows.queue(queue) is not None:
            store(rows, queue, [one.message for one in some], now)


def _is_known(rows: Rows, tree: Tree, now: float) -> bool:
    """Whether there is anything of it."""
    keys: dict[str, list[str]] = {}
    for record in tree.records:
        keys.setdefault(record.kind, []).append(record.key)
    for kind, key in tree.beside:
        keys.setdefault(kind, []).append(key)
    return any(rows.records.find(kind, some, now) for kind, some in keys.items())


def _lacks_something(rows: Rows, tree: Tree, now: float) -> bool:
    """Whether somebody else has a key of it, or its queue is not here."""
    held = rows.handover.holdings([one.key for one in tree.keys], now)
    others = any(held.get(key, (holder, None))[0] != holder for key, holder, _ in tree.keys)
    return others or any(rows.queue(name) is None for name in {one.queue for one in tree.messages})


def _names(trees: Iterable[Tree]) -> list[str]:
    """Of what is about to be written."""
    names = list[str]()
    for one in trees:
        names += [f"record/{record.kind}/{record.key}" for record in one.records]
        names += [f"record/{kind}/{key}" for kind, key in one.beside]
        names += [f"key/{key}" for key, *_ in one.keys]
    return names


def _rings(trees: Iterable[Tree]) -> set[str]:
    """Who may wait for a tree, or for a message of it."""
    rings = set[str]()
    for one in trees:
        rings.update(ring_of(record.kind, record.key) for record in one.records)
        rings.update(queue for queue, _ in one.messages)
    return rings
