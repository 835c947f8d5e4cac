"""The map that a broker of several files goes by, and how it comes to know of another one."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from taskflow import forking
from taskflow.broker.record import RecordQuery
from taskflow.brokers.sharded.fence import Epoch, MapChanged
from taskflow.brokers.sharded.files import open_file, path_of
from taskflow.brokers.sharded.marks import check_marks, read_mark
from taskflow.brokers.sharded.placement import Placement
from taskflow.brokers.sharded.receipts import Receipts
from taskflow.brokers.sharded.shard import Shard, let_go
from taskflow.brokers.sharded.shard_map import MOST_SHARDS, Leaving, ShardMap, read_map
from taskflow.brokers.sharded.shards import Shards
from taskflow.brokers.sharded.step import LEASE, Step
from taskflow.errors import BrokerError, BrokerFileError, BrokerUnavailable
from taskflow.stores.sqlite.store import SqliteStore

T = TypeVar("T")
_TRIES = 1000
_LOOKS = 20
_PAGE = 1000
_NO_TIME = "the number of files is being changed, which leaves no time"


class Course(forking.Forkable):
    """Thread-safe. Each verb goes by one map from its begin to its end, and is begun again when a
    file has another one; nothing was done in that file then."""

    def __init__(
        self,
        leader: Path,
        durable: bool,
        shards: Shards,
        placement: Placement,
        receipts: Receipts,
        epoch: Epoch,
        make: Callable[[int, SqliteStore], Shard],
        step: Step,
    ) -> None:
        self.leader = leader
        self._durable = durable
        self._shards = shards
        self.placement = placement
        self._receipts = receipts
        self._epoch = epoch
        self._make = make
        self._step = step
        self._lock = threading.RLock()
        forking.tell(self)

    def after_fork(self, child: bool) -> None:
        if child:  # a thread that is not here may hold it
            self._lock = threading.RLock()

    @property
    def map(self) -> ShardMap:
        """The one it goes by."""
        return self.placement.map

    def steady(self, work: Callable[[], T]) -> T:
        """Run `work`, which looks where things lie and is one transaction, or may be run again.
        Within another `steady` it is a part of that one."""
        epoch = self._epoch
        if epoch.number is not None:
            return work()
        for _ in range(_TRIES):
            number = epoch.number = self.placement.map.epoch
            try:
                return work()
            except MapChanged:
                pass
            except BrokerError:
                epoch.number = None
                if not self.is_stale(number):  # else it may be a file that is not there any more
                    raise
            finally:
                epoch.number = None
            with suppress(MapChanged):  # again, and it is looked at once more
                self._refresh()
        raise BrokerUnavailable(_NO_TIME)

    def once(self, work: Callable[[], T]) -> T:
        """As `steady`, where nobody may wait: when a file has another map, MapChanged comes out."""
        epoch = self._epoch
        if epoch.number is not None:
            return work()
        epoch.number = self.placement.map.epoch
        try:
            return work()
        finally:
            epoch.number = None

    def is_stale(self, epoch: int) -> bool:
        """Whether the files are of another epoch. (Another thread may know that already.)"""
        try:
            found = self._shards[0].store.look(read_map, kept=True)
        except MapChanged:
            return True
        except BrokerError:
            return False
        return found is not None and found.epoch != epoch

    def secure(self, shard: Shard) -> None:
        """Wait for the disk after a change. A file that has left the broker since was on disk
        before it did."""
        try:
            shard.store.sync()
        except BrokerError:
            number = self.placement.map.epoch
            if any(one is shard for one in self._shards) and not self.is_stale(number):
                raise

    def refresh(self) -> None:
        """Go by the map that lies in the files, having done what is left of a step to it. Raises
        BrokerFileError when they do not agree, BrokerUnavailable when they change all the time."""
        try:
            self._refresh()
        except MapChanged:
            raise BrokerUnavailable(_NO_TIME) from None

    def _refresh(self) -> None:
        """Raises MapChanged when they change all the time, and in a handler of signals that comes
        in the midst of this: the files are half looked through."""
        if self._lock._is_owned():  # type: ignore[attr-defined]
            raise MapChanged
        with self._lock:
            for last in [False] * _LOOKS + [True]:
                seen = None
                try:
                    seen = _map_in(self._shards[0])
                    if self._look(last):
                        return
                except (MapChanged, BrokerFileError):
                    if last or seen is None or _map_in(self._shards[0]) == seen:
                        raise
                    # else somebody has ended the step meanwhile, and a file is gone for it

    def _look(self, last: bool) -> bool:
        """Whether the files agree, and it goes by what they say; else what was seen to be left of a
        step has been done."""
        maps = self._maps()
        if any(found.leaving is not None for found in maps):
            files = max(found.leaving.files for found in maps if found.leaving is not None)
            self.open(maps[0], files)
            self._step.end(self._shards[:files])
        elif len({found.epoch for found in maps}) == 1:
            try:
                self._check_age(maps[0].shards)
            except BrokerFileError:
                if last:  # else whoever reads them may have slept between two
                    raise
                return False
            self._follow(maps[0])
            return True
        elif last:
            _refuse(self.leader, maps)
        return False

    def _check_age(self, files: int) -> None:
        """Raise BrokerFileError when one of the files is an older copy than the others."""
        check_marks(
            [
                (path_of(self.leader, shard.number), shard.store.look(read_mark, kept=True))
                for shard in self._shards[:files]
            ]
        )

    def begin(
        self,
        shards: Sequence[Shard],
        source: int,
        change: Callable[[ShardMap], ShardMap],
        leaving: Leaving,
    ) -> None:
        """Begin a step from the map it goes by; `refresh` does the rest. Raises MapChanged,
        Owing."""
        self._step.begin(shards, source, self.map, change, leaving)

    def _maps(self) -> list[ShardMap]:
        """What all files say that the leader's names."""
        leader = _map_in(self._shards[0])
        self._let_go(
            next(
                (one.number for one in self._shards[1:] if not one.store.is_there()),
                len(self._shards),
            )
        )
        self.open(leader, leader.shards)
        return [leader, *(_map_in(shard) for shard in self._shards[1 : leader.shards])]

    def open(self, found: ShardMap, files: int) -> None:
        """Have so many files open."""
        for number in range(len(self._shards), files):
            store = open_file(self.leader, found, number, durable=self._durable)
            self._shards.append(self._make(number, store))

    def _follow(self, found: ShardMap) -> None:
        moved: dict[str, str] = {}
        for shard in self._shards[: found.shards] if found.epoch > 1 else ():
            query: RecordQuery | None = RecordQuery(kind=LEASE, limit=_PAGE, order="oldest")
            while query is not None:
                page = shard.broker.list_records(query)
                moved.update((one.key, one.value) for one in page.records)
                query = (
                    None
                    if page.next is None
                    else RecordQuery(kind=LEASE, limit=_PAGE, order="oldest", after=page.next)
                )
        most = MOST_SHARDS if found.epoch > 1 else found.shards
        self._receipts.follow(found.shards, most, moved)
        self.placement.follow(found)
        self._let_go(found.shards)

    def _let_go(self, number: int) -> None:
        """Close the files from this one on: they are no part of the broker any more, or others of
        the same name are."""
        gone = self._shards[number:]
        del self._shards[number:]
        let_go(self._shards[0].store, gone)


def _map_in(shard: Shard) -> ShardMap:
    found = shard.store.look(read_map, kept=True)
    if found is None:
        raise MapChanged  # it was replaced: the guard says by what, when it is opened anew
    return found


def _refuse(leader: Path, maps: list[ShardMap]) -> None:
    newest = max(found.epoch for found in maps)
    for found in maps:
        if found.epoch != newest:
            name = leader.name if not found.number else f"{leader.name}.shard{found.number}"
            raise BrokerFileError(
                f"{leader.with_name(name)} is of epoch {found.epoch}, and the broker of epoch "
                f"{newest}: a copy of another time among files of this one"
            )
