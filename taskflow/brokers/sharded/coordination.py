"""The broker verbs by which workers know of each other: in the leader, or where a name lies."""

from collections.abc import Collection, Sequence

from taskflow.brokers.sharded.course import Course
from taskflow.brokers.sharded.placement import Placement
from taskflow.brokers.sharded.shard import Shard


class Coordinator:
    """What the workers of all files share. Thread-safe. (Reports of workers are the leader's.)"""

    def __init__(self, course: Course, shards: Sequence[Shard], placement: Placement) -> None:
        self._steady = course.steady
        self._shards = shards
        self._placement = placement

    def finished(self, queue: str, keys: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        """Which events the queue remembers, in whichever file."""

        def look() -> set[tuple[str, str]]:
            found: set[tuple[str, str]] = set()
            for shard in self._shards:
                found |= shard.broker.finished(queue, keys)
            return found

        return self._steady(look)

    def take(self, name: str, per_second: float, tokens: float = 0.0) -> float:
        """Take tokens from a bucket; answers what it holds after that."""
        return self._steady(lambda: self._of(name).broker.take(name, per_second, tokens))

    def hold(self, name: str, holder: str, seconds: float) -> bool:
        """Be the one of many, for so long."""
        return self._steady(lambda: self._of(name).broker.hold(name, holder, seconds))

    def holders(self, keys: Collection[str]) -> dict[str, str]:
        """Who has keys."""

        def look() -> dict[str, str]:
            by_file: dict[int, list[str]] = {}
            for key in keys:
                by_file.setdefault(self._placement.of_key(key), []).append(key)
            found: dict[str, str] = {}
            for number, some in by_file.items():
                found.update(self._shards[number].broker.holders(some))
            return found

        return self._steady(look)

    def _of(self, name: str) -> Shard:
        return self._shards[self._placement.of_key(name)]

    def hurry(self) -> None:
        """Wait a second at most for a lock of another process, from now on."""
        for shard in self._shards:
            shard.broker.hurry()
