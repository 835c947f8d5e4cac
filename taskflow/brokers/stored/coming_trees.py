"""Trees of records that are stored as they come from another broker, or come back."""

from collections.abc import Iterable, Sequence
from itertools import groupby

import msgspec

from taskflow.broker.tree_handover import TREES, Tree
from taskflow.brokers.stored.application import ring_of
from taskflow.brokers.stored.taken_batches import store
from taskflow.errors import KeyTaken
from taskflow.stores.rows import Rows

KEPT = 10 * 365 * 86400.0
"""Seconds that it is noted what was taken in: a run may live for years, and a batch that is not
known any more would put a second one into the world."""

_write = msgspec.json.Encoder().encode
read_roots = msgspec.json.Decoder(list[str]).decode
"""What `write_roots` wrote."""


def taken_trees_name(batch: str) -> str:
    """Under what it is noted that a batch was taken in."""
    return f"{TREES}/{batch}"


def write_roots(roots: Sequence[str]) -> str:
    """The trees that were refused, as that is noted."""
    return _write(roots).decode()


def whole(tree: Tree) -> Tree:
    """With all that lay in other files as its own: where it comes to, none of it is yet."""
    if not (tree.elsewhere or tree.strays):
        return tree
    return msgspec.structs.replace(
        tree,
        records=[*tree.records, *tree.strays],
        keys=[*tree.keys, *tree.elsewhere],
        elsewhere=[],
        strays=[],
    )


def put_in(rows: Rows, tree: Tree, now: float) -> None:
    """Store a tree, or a part of it, as it is."""
    rows.handover.restore(tree.records)
    for key, holder, until in tree.keys:
        try:
            rows.records.take(key, holder, until, now)
        except KeyTaken:  # of a tree that comes back: it goes on without it
            continue
    for queue, some in groupby(tree.messages, key=lambda one: one.queue):
        if rows.queue(queue) is not None:
            store(rows, queue, [one.message for one in some], now)


def is_known(rows: Rows, tree: Tree, now: float) -> bool:
    """Whether there is anything of it."""
    keys: dict[str, list[str]] = {}
    for record in tree.records:
        keys.setdefault(record.kind, []).append(record.key)
    for kind, key in tree.beside:
        keys.setdefault(kind, []).append(key)
    return any(rows.records.find(kind, some, now) for kind, some in keys.items())


def lacks_something(rows: Rows, tree: Tree, now: float) -> bool:
    """Whether somebody else has a key of it, or its queue is not here."""
    held = rows.handover.holdings([one.key for one in tree.keys], now)
    others = any(held.get(key, (holder, None))[0] != holder for key, holder, _ in tree.keys)
    return others or any(rows.queue(name) is None for name in {one.queue for one in tree.messages})


def names_of(trees: Iterable[Tree]) -> list[str]:
    """Of what is about to be written."""
    names = list[str]()
    for one in trees:
        names += [f"record/{record.kind}/{record.key}" for record in one.records]
        names += [f"record/{kind}/{key}" for kind, key in one.beside]
        names += [f"key/{key}" for key, *_ in one.keys]
    return names


def rings_of(trees: Iterable[Tree]) -> set[str]:
    """Who may wait for a tree, or for a message of it."""
    rings = set[str]()
    for one in trees:
        rings.update(ring_of(record.kind, record.key) for record in one.records)
        rings.update(queue for queue, _ in one.messages)
    return rings
