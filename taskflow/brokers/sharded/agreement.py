"""Declarations that are the same in all files: made in all at once, and mended after a crash."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from taskflow.broker.change import Put
from taskflow.brokers.sharded.declared_copy import copy_declarations
from taskflow.brokers.sharded.shard import Shard, locked
from taskflow.brokers.sharded.shard_map import DECLARED, SHARD
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.stores.rows import Rows

T = TypeVar("T")


class Agreement:
    """Each change of declarations is made in all files while all are locked, and raises the number
    of their generation, which lies in each. They are committed one after the other, the leader
    last: when somebody dies in between, the files of the highest generation are right, and the
    others are made like them. Thread-safe."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self._shards = shards

    def everywhere(self, change: Callable[[StoredBroker], T]) -> T:
        """Make a change in all files; answers what the leader did. `change` sees one after the
        other."""

        def make() -> T:
            self._mend()
            generation = _read(self._shards[0]) + 1
            answers = [change(shard.broker) for shard in self._shards]
            for shard in self._shards:
                _write(shard, generation)
            return answers[0]

        return locked(self._shards, make, alone=True)

    def together(self, work: Callable[[], T]) -> T:
        """Run `work`, whose verbs are one change."""
        return locked(self._shards, work, alone=True)

    def mend(self) -> None:
        """Make all files alike again, if they are not."""
        if len({_read(shard) for shard in self._shards}) > 1:
            locked(self._shards, self._mend, alone=True)

    def _mend(self) -> None:
        generations = [_read(shard) for shard in self._shards]
        newest = max(generations)
        source = self._shards[generations.index(newest)]
        for shard, generation in zip(self._shards, generations, strict=True):
            if generation == newest:
                continue

            def copy(rows: Rows, shard: Shard = shard) -> None:
                now = shard.broker.core.now()
                source.store.look(lambda origin: copy_declarations(origin, rows, now))

            shard.store.transact(copy, alone=True)
            _write(shard, newest)


def _read(shard: Shard) -> int:
    found = shard.store.look(lambda rows: rows.records.find(SHARD, [DECLARED], 0.0), kept=True)
    return int(found[DECLARED].value) if found else 0


def _write(shard: Shard, generation: int) -> None:
    put = Put(kind=SHARD, key=DECLARED, value=str(generation))
    shard.store.transact(lambda rows: rows.records.put(put, 1, shard.broker.core.now()))
