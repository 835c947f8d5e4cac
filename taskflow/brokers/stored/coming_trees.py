"""Trees of records that are stored as they come from another broker, or come back."""

from collections.abc import Iterable, Sequence

import msgspec

from taskflow.broker.handover import Handed
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


def put_in(rows: Rows, trees: Sequence[Tree], now: float) -> None:
    """Store trees, or parts of them, as they are."""
    rows.handover.restore([record for one in trees for record in one.records])
    for key, holder, until in (key for one in trees for key in one.keys):
        try:
            rows.records.take(key, holder, until, now)
        except KeyTaken:  # of a tree that comes back: it goes on without it
            continue
    messages: dict[str, list[Handed]] = {}
    for queue, message in (message for one in trees for message in one.messages):
        messages.setdefault(queue, []).append(message)
    for queue, some in messages.items():
        if rows.queue(queue) is not None:
            store(rows, queue, some, now)


def known_of(rows: Rows, trees: Sequence[Tree], now: float) -> set[str]:
    """The roots of those of which there is anything."""
    roots: dict[str, dict[str, str]] = {}
    for one in trees:
        for kind, key in (*((record.kind, record.key) for record in one.records), *one.beside):
            roots.setdefault(kind, {})[key] = one.root
    return {
        some[key]
        for kind, some in roots.items()
        for key in rows.records.find(kind, list(some), now)
    }


def lacking_of(rows: Rows, trees: Sequence[Tree], now: float) -> set[str]:
    """The roots of those of which somebody else has a key, or whose queue is not here."""
    held = rows.handover.holdings([key for one in trees for key, *_ in one.keys], now)
    queues = {queue for one in trees for queue, _ in one.messages}
    missing = {name for name in queues if rows.queue(name) is None}
    return {
        one.root
        for one in trees
        if any(held.get(key, (holder, None))[0] != holder for key, holder, _ in one.keys)
        or any(queue in missing for queue, _ in one.messages)
    }


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
