"""Trees of records on their way to another broker, or from one: each out of one file, and into as
many as it takes."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import partial

import msgspec

from taskflow.broker.change import Change, Free, Remove
from taskflow.broker.record import Record
from taskflow.broker.tree_handover import Asked, HeldKey, Seen, Tree, TreeBatch
from taskflow.brokers.sharded.course import Course
from taskflow.brokers.sharded.fence import MapChanged
from taskflow.brokers.sharded.parcel import Deed, Noted
from taskflow.brokers.sharded.parcels import Owing, Parcels
from taskflow.brokers.sharded.placement import Placement
from taskflow.brokers.sharded.shard import Shard, locked
from taskflow.brokers.stored.coming_trees import (
    KEPT,
    known_of,
    lacking_of,
    put_in,
    read_roots,
    rings_of,
    taken_trees_name,
    whole,
    write_roots,
)
from taskflow.stores.rows import Rows


class HandingTrees:
    """As `broker.tree_handover.TreeHandover`. Thread-safe.

    A tree leaves out of the file of its root, in a transaction there, with its messages. Steps,
    signals and keys of it that lie in other files go when it is let go: without the root nobody
    comes to them, and what changes them changes something in its file too. Since such a change may
    be committed there and not yet here, other files are looked at as who writes into them does.

    One that comes is stored in the files of its parts while all are locked, as a change of several
    files is (`apply`): whoever dies between two commits, what is owed is done by the next who opens
    the broker or does its upkeep.
    """

    def __init__(
        self, course: Course, shards: Sequence[Shard], placement: Placement, parcels: Parcels
    ) -> None:
        self._steady, self._secure = course.steady, course.secure
        self._shards = shards
        self._placement = placement
        self._parcels = parcels

    # ---- trees that leave ---------------------------------------------------------------------
    def tree_batches(self) -> list[TreeBatch]:
        """Those on their way, oldest first."""
        found = self._steady(lambda: [shard.broker.tree_batches() for shard in self._shards])
        return sorted({one for some in found for one in some})  # ids rise with time

    def scattered(self, asked: Sequence[Asked]) -> set[str]:
        """The roots of those of which messages or records of the root's kind lie elsewhere."""
        return self._steady(lambda: self._scattered(asked))

    def _scattered(self, asked: Sequence[Asked]) -> set[str]:
        of_id = self._placement.of_id
        found = {
            one.root
            for one in asked
            if any(
                seen.kind == one.seen[0].kind and of_id(seen.key) != of_id(one.root)
                for seen in one.seen
            )
        }
        for shard in self._shards:
            wanted: dict[str, dict[str, str]] = {}
            for one in asked:
                if of_id(one.root) != shard.number and one.root not in found:
                    for queue, ids in one.messages:
                        wanted.setdefault(queue, {}).update(dict.fromkeys(ids, one.root))
            for queue, roots in wanted.items():
                found.update(roots[id] for id in _waiting(shard, queue, roots))
        return found

    def hand_out_trees(self, batch: str, to: str, asked: Sequence[Asked]) -> dict[str, list[Tree]]:
        """Take trees out of use, those of each file in a transaction there, as a batch: whoever
        looks meanwhile sees whole ones."""
        return self._steady(lambda: self._hand_out(batch, to, asked))

    def _hand_out(self, batch: str, to: str, asked: Sequence[Asked]) -> dict[str, list[Tree]]:
        self._parcels.move()  # else a step may be owed to the file where it is looked for
        scattered = self._scattered(asked)
        files: dict[int, list[Asked]] = {}
        for one in asked:
            if one.root not in scattered:
                number = self._placement.of_id(one.root)
                if (whole := self._with_the_rest(one, number)) is not None:
                    files.setdefault(number, []).append(whole)
        batches: dict[str, list[Tree]] = {}
        for number, some in files.items():
            broker = self._shards[number].broker
            batches |= broker.hand_out_trees(f"{batch}/{number}", to, some)
        return batches

    def _with_the_rest(self, asked: Asked, number: int) -> Asked | None:
        """What to ask of the file of the root, with what lies in others; None when that is not as
        it was seen."""
        own, others = list[Seen](), dict[tuple[int, str], dict[str, Seen]]()
        for seen in asked.seen:
            other = self._placement.of_id(seen.key)
            if other == number:
                own.append(seen)
            else:
                others.setdefault((other, seen.kind), {})[seen.key] = seen
        strays: list[Record] = []
        for (other, kind), some in others.items():
            found = _records(self._shards[other], kind, list(some))
            strays += found.values()
            if len(found) < len(some) or any(
                (one.version, one.count) != some[one.key][2:] for one in found.values()
            ):
                return None
        keys, elsewhere = list[tuple[str, str]](), list[HeldKey]()
        for key, holder in asked.keys:
            other = self._placement.of_key(key)
            if other == number:
                keys.append((key, holder))
            elif (held := self._held(self._shards[other], key)) is not None:
                elsewhere += [held] if held.holder == holder else []
        return msgspec.structs.replace(
            asked, seen=own, keys=keys, elsewhere=elsewhere, strays=strays
        )

    @staticmethod
    def _held(shard: Shard, key: str) -> HeldKey | None:
        now = shard.broker.core.now()
        found = shard.store.transact(lambda rows: rows.handover.holdings([key], now)).get(key)
        return None if found is None else HeldKey(key, *found)

    def hand_trees_again(self, batch: str) -> list[Tree]:
        """The trees of a batch."""
        return self._steady(
            lambda: [one for shard in self._shards for one in shard.broker.hand_trees_again(batch)]
        )

    def let_trees_go(self, batch: str, back: Collection[str]) -> list[str]:
        """Forget the batch, but for what comes back."""
        return self._steady(lambda: self._let_go(batch, back))

    def _let_go(self, batch: str, back: Collection[str]) -> list[str]:
        stay: list[str] = []
        for shard in self._shards:
            trees = shard.broker.hand_trees_again(batch)
            if any(one.elsewhere or one.strays for one in trees):
                self._parcels.move()  # such as a root that is owed to its file
                locked(self._shards, partial(self._remove_the_rest, shard, batch, back))
            if trees:
                stay += shard.broker.let_trees_go(batch, back)
        return stay

    def _remove_the_rest(self, shard: Shard, batch: str, back: Collection[str]) -> None:
        """What lies in other files of the trees of a batch, while all files are locked."""
        for tree in shard.broker.hand_trees_again(batch):  # none: somebody else was quicker
            if tree.root in back or not (tree.elsewhere or tree.strays):
                continue
            was = tree.records[0]
            there = shard.broker.records(was.kind, [tree.root]).get(tree.root)
            if there is None:
                for key, holder, _ in tree.elsewhere:
                    free = Change(keys=[Free(key, holder)])
                    self._shards[self._placement.of_key(key)].broker.apply([free])
            if there is None or there.created_at != was.created_at:  # not the same one, come back
                for one in tree.strays:
                    gone = Change(records=[Remove(one.kind, one.key, one.version)])
                    self._shards[self._placement.of_id(one.key)].broker.apply([gone])

    # ---- trees that come ----------------------------------------------------------------------
    def take_in_trees(self, batch: str, trees: Sequence[Tree]) -> list[str]:
        """Store trees of another broker, once."""
        name, pieces = taken_trees_name(batch), [whole(one) for one in trees]
        return self._steady(lambda: self._take_in(name, pieces))

    def _take_in(self, name: str, trees: Sequence[Tree]) -> list[str]:
        while True:
            self._parcels.move()  # such as what who died owes of this batch
            try:
                refused, deeds, gone = locked(self._shards, lambda: self._store(name, trees))
            except Owing:
                continue
            break
        for number, some in deeds.items():
            self._secure(self._shards[number])
            rings = rings_of(one for one in some if isinstance(one, Tree))
            self._shards[number].broker.core.waiters.announce(rings)
        if gone:
            source = self._shards[max(deeds)]
            with suppress(MapChanged):  # it is made: upkeep finds that
                source.broker.apply([Change(records=gone)], durable=False)
        return refused

    def _store(
        self, name: str, trees: Sequence[Tree]
    ) -> tuple[list[str], dict[int, list[Deed]], Sequence[Remove]]:
        """While all files are locked. Answers who was refused, what was done in which file, and
        what of that is to be removed from the one that is committed first."""
        home = self._shards[self._placement.of_text(name)]
        now = home.broker.core.now()
        known = home.store.look(lambda rows: rows.records.applied(name, now))
        if known is not None:
            return read_roots(known), {}, ()
        split = [self._split(tree) for tree in trees]
        against = self._against(split, now)
        parts: dict[int, list[Tree]] = {}
        for one in split:
            for number, part in one.items():
                if part.root not in against:
                    parts.setdefault(number, []).append(part)
        deeds: dict[int, list[Deed]] = {}
        for number, some in parts.items():
            self._shards[number].store.transact(
                lambda rows, some=some: put_in(rows, some, now)  # type: ignore[misc]
            )
            deeds[number] = [*some]
        refused = sorted(against)
        noted = Noted(name, write_roots(refused), now + KEPT)
        home.store.transact(lambda rows: rows.records.note_applied(*noted))
        deeds.setdefault(home.number, []).append(noted)
        first, *others = sorted(deeds, reverse=True)
        owed = {number: deeds[number] for number in others}
        gone = self._parcels.note(self._shards[first], owed) if owed else ()
        return refused, deeds, gone

    def _against(self, split: Sequence[dict[int, Tree]], now: float) -> set[str]:
        """The roots of those of which a part cannot be where it belongs."""
        against: set[str] = set()
        for shard in self._shards:
            some = [parts[shard.number] for parts in split if shard.number in parts]
            against |= shard.store.look(
                lambda rows, some=some: known_of(rows, some, now) | lacking_of(rows, some, now)  # type: ignore[misc]
            )
        return against

    def _split(self, tree: Tree) -> dict[int, Tree]:
        """Its parts, by the file that each lies in as if it had been made here."""
        parts: dict[int, Tree] = {}

        def part(number: int) -> Tree:
            return parts.setdefault(number, Tree(root=tree.root, records=[]))

        for record in tree.records:
            part(self._placement.of_id(record.key)).records.append(record)
        for kind, key in tree.beside:
            part(self._placement.of_id(key)).beside.append((kind, key))
        for held in tree.keys:
            part(self._placement.of_key(held.key)).keys.append(held)
        for one in tree.messages:
            number = self._placement.of_handed(one.queue, one.message)
            part(number).messages.append(one)
        return parts


def _waiting(shard: Shard, queue: str, ids: Collection[str]) -> list[str]:
    """Which of these messages a queue has in this file."""

    def look(rows: Rows) -> list[str]:
        row = rows.queue(queue)
        found = [] if row is None else rows.select(row.id, ids, len(ids))
        return [one.id for one in found if not one.topic]

    return shard.store.transact(look)


def _records(shard: Shard, kind: str, keys: Collection[str]) -> dict[str, Record]:
    now = shard.broker.core.now()
    return shard.store.transact(lambda rows: rows.records.find(kind, keys, now))
