"""Looks at the levels of a queue, each behind what was lent of it last."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from taskflow.stores.postgres.watermarks import START, Line, Point, Watermarks
from taskflow.stores.row import Row


class _Look(NamedTuple):
    line: Line
    start: Point
    since: float
    found: Sequence[Row]


class LevelLooks:
    """Those of one lend at a time: where they begin, and behind what the next ones may. What lies
    below a mark is looked for when nothing is found at all; as long as there is anything, it waits
    as in a queue without levels."""

    def __init__(self, watermarks: Watermarks) -> None:
        self._watermarks = watermarks
        self._goes_on = False
        self._before: dict[Line, float] = {}
        self._looks: list[_Look] = []

    def begin(self, goes_on: bool) -> None:
        """The looks of a lend come next; from the beginning, unless it `goes_on`."""
        self._goes_on = goes_on
        self._before.clear()
        self._looks.clear()

    def start(self, line: Line) -> Point:
        """Behind what to look for what is due there."""
        if not self._goes_on:
            return START
        if (since := self._before.get(line)) is not None:
            return self._watermarks.due_after_nothing(line, since)
        return self._watermarks.due_from(line)

    def looked(self, line: Line, start: Point, since: float, found: Sequence[Row]) -> None:
        """Note what was found by a look that began `since`."""
        if self._goes_on:
            self._looks.append(_Look(line, start, since, found))

    def begin_again(self) -> bool:
        """Nothing was found: whether to look once more, further back."""
        if self._before or all(look.start == START for look in self._looks):
            return False
        self._before.update((look.line, look.since) for look in self._looks)
        self._looks.clear()
        return True

    def end(self, lent: Collection[int], now: float) -> None:
        """These numbers were lent of what was found: the next looks begin behind the last of them,
        and before the first that was left."""
        for look in self._looks:
            last = (now, 0)
            for row in look.found:
                if row.seq not in lent:
                    last = (row.visible_at, row.seq - 1)
                    break
                last = (row.visible_at, row.seq)
            if look.found or look.start == START:
                self._watermarks.looked(look.line, last, look.start, look.since)
        self._looks.clear()
