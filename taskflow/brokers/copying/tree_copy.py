"""Moving trees of records from one broker to another, each whole and once."""

from collections.abc import Collection, Iterator, Sequence

from taskflow.broker import Broker
from taskflow.broker.tree_handover import Asked, TreeHandover
from taskflow.brokers.copying.tree_tally import TreeTally
from taskflow.brokers.copying.trees import Found, Trees
from taskflow.message import new_id

BATCH = 500  # records of one change, unless one tree has more
BATCH_TEXT = 8 * 2**20  # characters of their values, likewise
IDS = 20  # of messages that are looked for take as long as a record


class TreeCopy:
    """Moves trees from `source` to `target`, where both can hand them over: those of one sort after
    those of the other."""

    def __init__(
        self,
        source: Broker,
        target: Broker,
        trees: Sequence[Trees],
        queues: Collection[str] | None,
    ) -> None:
        self._source, self._target = source, target
        self._trees = trees
        self._queues = queues
        self._out = source if isinstance(source, TreeHandover) else None
        self._in = target if isinstance(target, TreeHandover) else None
        self._tallies: dict[str, TreeTally] = {}

    @property
    def possible(self) -> bool:
        """Whether both brokers can."""
        return self._out is not None and self._in is not None

    @property
    def tallies(self) -> list[TreeTally]:
        """What became of them, by name."""
        return sorted(self._tallies.values(), key=lambda one: one.name)

    @property
    def in_flight(self) -> bool:
        """Whether some were left that may be moved later."""
        return any(one.in_flight for one in self._tallies.values())

    @property
    def under_way(self) -> int:
        """How many batches have left `source` and are not let go: a copy was interrupted."""
        return 0 if self._out is None else len(self._out.tree_batches())

    def begun(self, to: str) -> bool:
        """Whether batches are on their way to this broker."""
        return self._out is not None and any(one.to == to for one in self._out.tree_batches())

    def others(self, to: str) -> int:
        """How many batches are on their way to other brokers than this one."""
        return 0 if self._out is None else sum(one.to != to for one in self._out.tree_batches())

    def plan(self) -> list[TreeTally]:
        """What there is to move; what stands against it at `target` is not looked for."""
        self._tallies.clear()
        for one in self._trees if self.possible else ():
            for found in one.find(self._source, self._queues):
                if found.asked is None:
                    self._leave(found)
                else:
                    self._tally(found.name).moved += 1
        return self.tallies

    def go_on(self, to: str) -> None:
        """End what an earlier copy to this broker had begun."""
        if self._out is None or self._in is None:
            return
        for batch in self._out.tree_batches():
            if batch.to != to:
                continue
            trees = self._out.hand_trees_again(batch.id)
            refused = self._in.take_in_trees(batch.id, trees)
            self._out.let_trees_go(batch.id, refused)

    def move(self, to: str) -> int:
        """Move all that can be; answers how many trees that were."""
        for tally in self._tallies.values():
            tally.begin()
        sorts = self._trees if self.possible else ()
        return sum(self._move(one.find(self._source, self._queues), to) for one in sorts)

    def _move(self, all_found: Iterator[Found], to: str) -> int:
        moved, some, left, text = 0, list[Found](), BATCH, BATCH_TEXT
        for found in all_found:
            if found.asked is None:
                self._leave(found)
                continue
            size = len(found.asked.seen) + sum(len(ids) for _, ids in found.asked.messages) // IDS
            if some and (size > left or found.text > text):
                moved += self._hand_over(some, to)
                some, left, text = [], BATCH, BATCH_TEXT
            some.append(found)
            left, text = left - size, text - found.text
        return moved + self._hand_over(some, to)

    def _hand_over(self, some: Sequence[Found], to: str) -> int:
        if not some or self._out is None or self._in is None:
            return 0
        names = {one.asked.root: one.name for one in some if one.asked is not None}
        asked = [one.asked for one in some if one.asked is not None]
        against = self._taken_there(asked)
        free = [one for one in asked if one.root not in against]
        for root in against:
            self._tally(names[root]).taken += 1
        batch = new_id(self._source.clock.now(), self._source.random)
        batches = self._out.hand_out_trees(batch, to, free) if free else {}
        refused, gone = set[str](), set[str]()
        for part, trees in batches.items():
            back = self._in.take_in_trees(part, trees)
            self._out.let_trees_go(part, back)
            refused.update(back)
            gone.update(tree.root for tree in trees)
        left = [one for one in free if one.root not in gone]
        scattered = self._out.scattered(left) if left else set()
        for one in free:
            tally = self._tally(names[one.root])
            if one.root in refused:
                tally.taken += 1
            elif one.root in gone:
                tally.moved += 1
            elif one.root in scattered:
                tally.scattered += 1
            else:
                tally.in_flight += 1
        return len(gone) - len(refused)

    def _taken_there(self, asked: Sequence[Asked]) -> set[str]:
        """The roots of those that `target` would refuse now: so they need not leave to be refused,
        and keep their place meanwhile."""
        wanted: dict[str, dict[str, str]] = {}
        for one in asked:
            root = next(seen for seen in one.seen if seen.key == one.root)
            for kind, key in ((root.kind, root.key), *one.beside):
                wanted.setdefault(kind, {})[key] = one.root
        found = {
            roots[key]
            for kind, roots in wanted.items()
            for key in self._target.records(kind, list(roots))
        }
        keys = {key: (one.root, holder) for one in asked for key, holder in one.keys}
        holders = self._target.holders(list(keys)) if keys else {}
        return found | {keys[key][0] for key, who in holders.items() if who != keys[key][1]}

    def _leave(self, found: Found) -> None:
        tally = self._tally(found.name)
        setattr(tally, found.why, getattr(tally, found.why) + 1)

    def _tally(self, name: str) -> TreeTally:
        return self._tallies.setdefault(name, TreeTally(name))
