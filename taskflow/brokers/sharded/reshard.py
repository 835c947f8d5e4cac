"""Another number of files for a broker, while it is in use: step by step, from map to map."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

import msgspec

from taskflow.brokers.sharded.course import Course
from taskflow.brokers.sharded.fence import MapChanged
from taskflow.brokers.sharded.files import make_more, remove_unused
from taskflow.brokers.sharded.marks import read_mark
from taskflow.brokers.sharded.parcels import Owing, Parcels
from taskflow.brokers.sharded.shard import Shard
from taskflow.brokers.sharded.shard_map import (
    MOST_SHARDS,
    Leaving,
    ShardMap,
    owners_of,
    read_map,
    runs_of,
)
from taskflow.brokers.sharded.step import KEPT, check_all_stay, placed
from taskflow.clock import Clock
from taskflow.placing import PLACES
from taskflow.stores.rows import Rows
from taskflow.stores.sqlite.place_conditions import INDEXES

MOST_MESSAGES = 2000
"""That go in one step, while which nobody writes, unless one place has more."""


INDEXED_FROM = 10_000
"""Rows of a file from which on it is indexed by places while it gives some up: else each step would
look through all of them."""


class Progress(NamedTuple):
    """How far it is: so many places are where they are to be."""

    done: int
    files: int


class _Next(NamedTuple):
    source: int
    change: Callable[[ShardMap], ShardMap]
    leaving: Leaving


class Resharding:
    """What it does next it finds in the map, as it is then: whoever was killed at it, it is run
    again, and goes on."""

    def __init__(
        self, course: Course, shards: Sequence[Shard], parcels: Parcels, clock: Clock
    ) -> None:
        self._course = course
        self._shards = shards
        self._parcels = parcels
        self._clock = clock
        self._counts: dict[int, dict[int, int]] = {}

    def run(self, files: int, tell: Callable[[Progress], None] = lambda _: None) -> None:
        """Let the broker have so many files. Raises BrokerFileError for a file that is in the
        way, ConfigError while its messages are copied to another broker."""
        assert 1 <= files <= MOST_SHARDS
        course = self._course
        course.refresh()
        if course.map.shards != files:
            for shard in self._shards:  # before a file is made
                check_all_stay(shard)
        self._counts.clear()
        while True:
            tell(self.progress(files))
            found = course.map
            wanted = self._next(found, files)
            if wanted is None:
                break
            self._step(found, wanted)
        for shard in self._shards:
            shard.store.transact(lambda rows: placed(rows).unindex())
        with suppress(MapChanged):  # somebody wants another number still
            self._leading(
                course.map,
                lambda: remove_unused(course.leader, course.map, range(files, MOST_SHARDS)),
            )

    def progress(self, files: int) -> Progress:
        """How far it is on the way to so many."""
        found = self._course.map
        owners = owners_of(found)
        goal = goal_of(owners, files)
        done = sum(owner == wanted for owner, wanted in zip(owners, goal, strict=True))
        return Progress(done, found.shards)

    def _step(self, found: ShardMap, wanted: _Next) -> None:
        """One step, unless somebody else made one."""
        course = self._course
        files = wanted.leaving.files

        def begin() -> None:
            if files > found.shards:
                mark = self._shards[0].store.look(read_mark, kept=True)
                make_more(course.leader, found, files, self._clock.now(), mark)
            course.open(found, files)
            course.begin(self._shards[:files], wanted.source, wanted.change, wanted.leaving)

        try:
            self._leading(found, begin)
        except Owing:
            course.steady(self._parcels.move)
        except MapChanged:
            pass
        course.refresh()

    def _leading(self, found: ShardMap, work: Callable[[], None]) -> None:
        """Run `work` while nobody else begins a step. Raises MapChanged when somebody did."""

        def lead(rows: Rows) -> None:
            now = read_map(rows)
            if now is None or now.epoch != found.epoch:
                raise MapChanged
            work()

        # What has forgotten the files that are removed now is on disk before they are.
        self._shards[0].store.sync_file()
        self._shards[0].store.transact(lead)

    def _next(self, found: ShardMap, files: int) -> _Next | None:
        if found.shards < files:
            return _Next(0, lambda old: _with(old, shards=files), Leaving(files))
        owners = owners_of(found)
        goal = goal_of(owners, files)
        moves = [place for place in range(PLACES) if owners[place] != goal[place]]
        if moves:
            source, target = owners[moves[0]], goal[moves[0]]
            some = [one for one in moves if (owners[one], goal[one]) == (source, target)]
            places = self._few(source, some)
            for place in places:
                owners[place] = target
            runs = runs_of(owners)
            leaving = Leaving(found.shards, target, places)
            return _Next(source, lambda old: _with(old, owners=runs), leaving)
        for number in range(files, found.shards):
            if self._shards[number].store.look(lambda rows: placed(rows).any(KEPT)):
                return _Next(number, _with, Leaving(found.shards, 0, None))
        if found.shards > files:
            return _Next(0, lambda old: _with(old, shards=files), Leaving(found.shards))
        return None

    def _few(self, source: int, places: Sequence[int]) -> tuple[int, ...]:
        """As many of the places as go in one step."""
        if source not in self._counts:  # about as many, then too
            store = self._shards[source].store
            if store.look(lambda rows: placed(rows).size()) >= INDEXED_FROM:
                for name in INDEXES:  # one by one, since nobody else writes meanwhile
                    store.transact(lambda rows, name=name: placed(rows).index(name))  # type: ignore[misc]
            self._counts[source] = store.look(lambda rows: placed(rows).counts())
        counts = self._counts[source]
        messages = few = 0
        for place in places:
            messages += counts.get(place, 0)
            if few and messages > MOST_MESSAGES:
                break
            few += 1
        return tuple(islice(places, few))


def goal_of(owners: Sequence[int], files: int) -> list[int]:
    """The file of each place when there are so many: each has as many, but for one, and no more
    places move than have to."""
    goal = list(owners)
    held = {number: [at for at in range(PLACES) if goal[at] == number] for number in range(files)}
    share, more = divmod(PLACES, files)
    by_size = sorted(held, key=lambda number: (-len(held[number]), number))
    quota = {number: share + (at < more) for at, number in enumerate(by_size)}
    free = [at for at in range(PLACES) if goal[at] >= files]
    for number, places in held.items():
        free += places[quota[number] :]
    for number, places in held.items():
        while len(places) < quota[number]:
            places.append(at := free.pop())
            goal[at] = number
    return goal


def _with(old: ShardMap, **changes: object) -> ShardMap:
    return msgspec.structs.replace(old, **changes)
