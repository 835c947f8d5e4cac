"""How many jobs may run at once: by threads, by coroutines, and by the limits of handlers. Pure."""

from collections import Counter

from taskflow.entry import Entry
from taskflow.registry import Registry
from taskflow.worker.job import Job

SYNC, ASYNC = "threads", "coroutines"
_UNHANDLED = (SYNC,)


class Slots:
    """Counts what takes a slot, and says how many are free. Not thread-safe: its owner calls it
    under a lock.

    A limit of a handler holds its whole queue back, since only a receive tells which handler a
    message is for: give a limited handler a queue of its own.
    """

    def __init__(self, registry: Registry, most: dict[str, int]) -> None:
        self._most = dict(most)
        self._keys: dict[str, tuple[str, ...]] = {}  # by entry: what its jobs count under
        self._limits: dict[str, tuple[str, ...]] = {}  # by queue: what limits it
        for queue in registry.queues():
            keys = {key for one in registry.on(queue) for key in self._learn(one)}
            self._limits[queue] = tuple(keys)
        self._taken: Counter[str] = Counter()

    def _learn(self, one: Entry) -> tuple[str, ...]:
        """What the jobs of an entry count under; some are made when modules are imported
        late, by a handler say."""
        kind = ASYNC if one.is_async else SYNC
        keys = (kind,) if one.concurrency is None else (kind, one.name)
        self._keys[one.name] = keys
        if one.concurrency is not None:
            self._most[one.name] = one.concurrency
        return keys

    def most(self, kind: str) -> int:
        """How many of SYNC or ASYNC may run at once."""
        return self._most[kind]

    def resize(self, kind: str, most: int) -> None:
        """Let so many of SYNC or ASYNC run at once; what runs beyond that goes on."""
        self._most[kind] = most

    def enter(self, job: Job) -> None:
        """It may start now."""
        for key in self._keys_of(job):
            self._taken[key] += 1

    def leave(self, job: Job) -> None:
        """It has ended, or will not start."""
        for key in self._keys_of(job):
            self._taken[key] -= 1

    def fits(self, job: Job) -> bool:
        """Whether the limits of its own handler let it start. Of threads any number may be held."""
        for key in self._keys_of(job):
            if key != SYNC and self._taken[key] >= self._most[key]:
                return False
        return True

    def _keys_of(self, job: Job) -> tuple[str, ...]:
        if job.entry is None:
            return _UNHANDLED
        known = self._keys.get(job.entry.name)
        if known is None:
            known, queue = self._learn(job.entry), job.delivery.queue
            # Else it would be received, and given back, again and again.
            self._limits[queue] = tuple({*self._limits.get(queue, ()), *known})
        return known

    def room(self, queue: str, prefetched: int = 0) -> int:
        """How many more messages of this queue can be started.

        `prefetched`: so many may be held for the threads together although fewer are free.
        """
        least: int | None = None
        for key in self._limits[queue]:
            room = self._most[key] - self._taken[key]
            if key == SYNC and room > 0:
                room = max(room, prefetched)
            least = room if least is None else min(least, room)
        return 0 if least is None else least
