"""Messages on their way to another broker, or from one: file by file."""

from collections.abc import Callable, Collection, Iterator, Sequence
from heapq import merge
from itertools import groupby, islice
from typing import Literal, TypeVar, cast

from taskflow.broker.handover import START, Batch, Finished, Handed, Known, Lot, Place
from taskflow.brokers.sharded.course import Course
from taskflow.brokers.sharded.placement import Placement
from taskflow.brokers.sharded.shard import Shard
from taskflow.brokers.stored.leaving_batch import find_batch
from taskflow.brokers.stored.taken_batches import note_taken, numbers_of, store, taken_name
from taskflow.limits import is_fifo
from taskflow.message import new_id
from taskflow.stores.rows import Rows
from taskflow.stores.sqlite.rows import SqliteRows

T = TypeVar("T")


class HandingOver:
    """As `broker.handover.Handover`. Thread-safe.

    A batch that leaves is of one file, where its record lies; while there is one the files keep
    their places. A batch that comes goes to the files of its messages, each of which notes what it
    took: whoever dies between two of them, it is taken in again, and what was noted anywhere is
    not stored. The notes go with the places, so that this holds over another number of files.
    """

    def __init__(self, course: Course, shards: Sequence[Shard], placement: Placement) -> None:
        self._steady, self._secure = course.steady, course.secure
        self._shards = shards
        self._placement = placement

    # ---- messages that leave ------------------------------------------------------------------
    def batches(self) -> list[Batch]:
        """Those on their way, oldest first."""
        found = self._steady(lambda: [shard.broker.batches() for shard in self._shards])
        return list(merge(*found, key=lambda one: one.id))  # ids rise with time

    def hand_out(self, batch: str, queue: str, to: str, limit: int, place: Place = START) -> Lot:
        """Hide messages of one file and note them there as a batch."""
        return self._steady(lambda: self._hand_out(batch, queue, to, limit, place))

    def _hand_out(self, batch: str, queue: str, to: str, limit: int, place: Place) -> Lot:
        files = len(self._shards)
        number = max(place.file, self._placement.fifo) if is_fifo(queue) else place.file
        if number >= files:  # there are fewer than there were
            return Lot([], None)
        lot = self._shards[number].broker.hand_out(batch, queue, to, limit, place)
        if lot.place is not None:
            return lot._replace(place=lot.place._replace(file=number))
        last = is_fifo(queue) or number + 1 == files
        return lot if last else lot._replace(place=Place(file=number + 1))

    def hand_again(self, batch: str) -> list[Handed]:
        """The messages of a batch that are still there."""
        return self._steady(
            lambda: [] if (one := self._home_of(batch)) is None else one.broker.hand_again(batch)
        )

    def let_go(self, batch: str, numbers: Collection[int]) -> None:
        """Remove messages that another broker has, and the batch."""

        def let_go() -> None:
            if (shard := self._home_of(batch)) is not None:
                shard.broker.let_go(batch, numbers)

        self._steady(let_go)

    def _home_of(self, batch: str) -> Shard | None:
        """The file in which it was handed out."""
        for shard in self._shards:
            if shard.store.look(lambda rows: find_batch(rows, batch)) is not None:
                return shard
        return None

    # ---- messages that come -------------------------------------------------------------------
    def take_in(self, batch: str, queue: str, messages: Sequence[Handed]) -> list[int]:
        """Store messages of another broker, each once."""
        numbers, shards = self._steady(lambda: self._take_in(batch, queue, messages))
        for shard in shards:
            self._secure(shard)
        return numbers

    def _take_in(
        self, batch: str, queue: str, messages: Sequence[Handed]
    ) -> tuple[list[int], list[Shard]]:
        name = taken_name(batch)
        taken = set[int]()
        for shard in self._shards:
            taken.update(*shard.store.look(lambda rows: _taken(rows, name)))
        files = dict[int, list[Handed]]()
        for one in messages:
            files.setdefault(self._placement.of_handed(queue, one), []).append(one)
        shards = [self._shards[number] for number in sorted(files)]
        for shard in shards:
            taken |= self._take_into(shard, name, queue, files[shard.number], taken)
        return sorted(taken), shards

    @staticmethod
    def _take_into(
        shard: Shard, name: str, queue: str, some: Sequence[Handed], taken: Collection[int]
    ) -> set[int]:
        """Answers the numbers that this file has taken by now."""
        core = shard.broker.core

        def work(rows: Rows) -> set[int]:
            known = set[int]().union(*_taken(rows, name))  # somebody else may be at it, too
            fresh = [one for one in some if one.number not in known and one.number not in taken]
            if fresh:
                now = core.now()
                store(rows, queue, fresh, now)
                note_taken(rows, f"{name}/{new_id(now, core.random)}", fresh, now)
            return known.union(one.number for one in fresh)

        return shard.store.transact(work, committed=lambda _: core.waiters.announce([queue]))

    # ---- what is remembered -------------------------------------------------------------------
    def finished_after(self, queue: str, last: tuple[str, str], limit: int) -> list[Finished]:
        """A page of what a queue has finished, of all files."""
        found = self._steady(
            lambda: [shard.broker.finished_after(queue, last, limit) for shard in self._shards]
        )
        return list(islice(_longest(merge(*found)), limit))

    def remember_finished(self, queue: str, events: Sequence[Finished]) -> None:
        """Have a queue remember events as finished, where their messages would lie."""

        def remember() -> None:
            files = dict[int, list[Finished]]()
            for one in events:
                files.setdefault(self._placement.of_finished(queue, one), []).append(one)
            for number, some in files.items():
                self._shards[number].broker.remember_finished(queue, some)

        self._steady(remember)

    def known_after(
        self, kind: Literal["queue", "topic"], name: str, last: tuple[str, str], limit: int
    ) -> list[Known]:
        """A page of what it deduplicates by: one file has all of it."""
        return self._of_fifo(lambda shard: shard.broker.known_after(kind, name, last, limit))

    def remember_known(
        self, kind: Literal["queue", "topic"], name: str, known: Sequence[Known]
    ) -> None:
        """Have it deduplicate by these too."""
        self._of_fifo(lambda shard: shard.broker.remember_known(kind, name, known))

    def _of_fifo(self, act: Callable[[Shard], T]) -> T:
        return self._steady(lambda: act(self._shards[self._placement.fifo]))


def _taken(rows: Rows, name: str) -> list[list[int]]:
    found = cast(SqliteRows, rows).records.applied_under(name)
    return [numbers_of(answer) for answer in found]


def _longest(found: Iterator[Finished]) -> Iterator[Finished]:
    """What two files remember, once."""
    for _, same in groupby(found, key=lambda one: (one.id, one.topic)):
        yield max(same, key=lambda one: one.expires_at)
