"""The broker verbs that look and repair, over all files."""

from collections.abc import Callable, Collection, Sequence
from heapq import merge

from taskflow.broker import QueueCounts
from taskflow.broker.settings import Surveyed
from taskflow.brokers.sharded.course import Course
from taskflow.brokers.sharded.fence import MapChanged
from taskflow.brokers.sharded.parcels import Parcels
from taskflow.brokers.sharded.shard import Shard
from taskflow.message import Delivery


class Operator:
    """What an operator asks of a queue. Thread-safe. Each file is asked by itself: what moves from
    one moment to the next is counted as each saw it."""

    def __init__(self, course: Course, shards: Sequence[Shard], parcels: Parcels) -> None:
        self._steady = course.steady
        self._shards = shards
        self._parcels = parcels

    def counts(self, queue: str) -> QueueCounts:
        """How much a queue holds."""
        found = self._steady(lambda: [shard.broker.counts(queue) for shard in self._shards])
        return _together(found)

    def survey(self, queues: Collection[str] | None = None) -> dict[str, Surveyed]:
        """All queues at once, or these: as the first file has them, with what all of them hold."""
        first, *others = self._steady(
            lambda: [shard.broker.survey(queues) for shard in self._shards]
        )
        return {
            name: one._replace(
                counts=_together([one.counts, *(other[name].counts for other in others)])
            )
            for name, one in first.items()
            if all(name in other for other in others)
        }

    def waiting(self, queue: str, most: int) -> int:
        """How many messages may be received now; counts no further than `most`."""

        def count() -> int:
            seen = 0
            for shard in self._shards:
                if seen >= most:
                    break
                seen += shard.broker.waiting(queue, most - seen)
            return seen

        return self._steady(count)

    def peek(self, queue: str, limit: int = 100, ids: Collection[str] = ()) -> list[Delivery]:
        """Look at messages without receiving them, those that were sent first. One that is
        asked for by its id and owed to its file comes there before, whoever died meanwhile."""

        def look() -> list[Delivery]:
            found = [shard.broker.peek(queue, limit, ids) for shard in self._shards]
            return list(merge(*found, key=age_of))[:limit]

        found = self._steady(look)
        if ids and len(found) < min(limit, len({*ids})):  # one may be owed to its file
            self._steady(self._parcels.move)
            found = self._steady(look)
        return found

    def redrive(self, queue: str, ids: Collection[str] = (), limit: int = 1000) -> int:
        """Send dead letters back to where they came from."""
        return self.each(limit, lambda shard, left: shard.broker.redrive(queue, ids, left))

    def purge(self, queue: str, ids: Collection[str] = (), limit: int = 10000) -> int:
        """Delete messages."""
        return self.each(limit, lambda shard, left: shard.broker.purge(queue, ids, left))

    def each(self, limit: int, act: Callable[[Shard, int], int]) -> int:
        """One file after the other, until so many were found."""

        def act_on_all() -> int:
            done = 0
            for shard in self._shards:
                if done >= limit:
                    break
                try:
                    done += act(shard, limit - done)
                except MapChanged:
                    if not done:
                        raise
                    break  # whoever wants more asks again
            return done

        return self._steady(act_on_all)


def age_of(delivery: Delivery) -> tuple[float, str]:
    """By what messages of several files are put in order, those of each as they are: when they were
    sent, and what was sent in the same moment by id; ids made here rise with time."""
    return delivery.sent_at, delivery.id


def _together(found: Sequence[QueueCounts]) -> QueueCounts:
    return QueueCounts(
        visible=sum(one.visible for one in found),
        in_flight=sum(one.in_flight for one in found),
        delayed=sum(one.delayed for one in found),
        oldest_age_seconds=max(one.oldest_age_seconds for one in found),
        handled=sum(one.handled for one in found),
        dead_lettered=sum(one.dead_lettered for one in found),
        paused=found[0].paused,
        expired=sum(one.expired for one in found),
        due_age_seconds=max(one.due_age_seconds for one in found),
    )
