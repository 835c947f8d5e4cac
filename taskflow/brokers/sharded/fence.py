"""What each transaction of a file is checked by: whether its places are those it was begun for."""

import threading

from taskflow.broker.prompt import WouldWait
from taskflow.brokers.sharded.shard_map import MAP, SHARD, map_of
from taskflow.stores.sqlite.rows import SqliteRows


class MapChanged(WouldWait):
    """The file has another map than the one by which it was chosen: nothing was done. Who may not
    wait may not look for the new one either."""


class Epoch(threading.local):
    """By which epoch this thread chooses files; None where it does not matter."""

    number: int | None = None


class Fence:
    """Of one file, for `SqliteStore.fence`: raises MapChanged when the file is of another epoch
    than the thread goes by, or in the middle of a step to another one. While nobody else writes
    into the file, its map is as it was; and while its declarations have the same stamp, which each
    map that is written renews (`shard_map.write_map`)."""

    def __init__(self, epoch: Epoch) -> None:
        self._epoch = epoch
        self._rows: SqliteRows | None = None
        self._others = 0
        self._stamp: int | None = None
        self._is_of = -1

    def epoch(self) -> int | None:
        """By which this thread goes."""
        return self._epoch.number

    def forget(self) -> None:
        """This process is writing another map; within that transaction."""
        self._rows = None

    def __call__(self, rows: SqliteRows, asks: bool) -> None:
        """`asks`: what comes next changes nothing unless the stamp is the one that is known."""
        wanted = self._epoch.number
        if wanted is None:
            return
        seen = rows is self._rows and self._is_of == wanted
        if seen and asks and rows.known_stamp() == self._stamp:
            return
        records = rows.records
        others = records.others()
        if seen and others == self._others:
            return
        stamp = rows.stamp()
        if stamp != self._stamp or rows is not self._rows:
            text = records.text(SHARD, MAP)
            found = None if text is None else map_of(text)
            whole = found is not None and found.leaving is None
            self._is_of = found.epoch if found is not None and whole else -1
            self._stamp = stamp
        self._rows, self._others = rows, others
        if self._is_of != wanted:
            raise MapChanged
