"""Where a process begins to look, and where it puts what is new: apart from the others."""

from collections.abc import Sequence
from random import Random

from taskflow.brokers.sharded.home import Home
from taskflow.brokers.sharded.placement import Placement
from taskflow.brokers.sharded.shard import Shard
from taskflow.clock import Clock

ELSEWHERE = 0.5
"""Seconds after which a receive begins at somebody else's file, who may be slow, or have died."""
FEW = 64
"""New ids until a process wants a file of its own to send to, and between two looks at it."""
TURN = 0.05
"""Seconds that a process which sends a lot sends to one file; then to the next. All change at the
same time, so that those with files of their own stay apart."""
BUSY = 16
"""New ids in a turn from which on it sends a lot in the next one. Who sends little stays with one
file: of that it has the pages, and so has who waits for it."""


class Homes:
    """Both of a process: where it receives, and where it sends."""

    def __init__(
        self, shards: Sequence[Shard], placement: Placement, clock: Clock, random: Random
    ) -> None:
        self._shards = shards
        self._placement = placement
        self._clock = clock
        self._random = random
        self._receives = Home("~receives", shards, clock, random)
        self._sends = Home("~sends", shards, clock, random)
        self._looks = 0
        self._elsewhere_at = clock.now() + ELSEWHERE
        self._made = self._batches = 0
        self._turn, self._made_before, self._busy = 0, 0, False

    def leave(self) -> None:
        """This process ends: others may have its files."""
        self._receives.leave()
        self._sends.leave()

    def order(self) -> Sequence[Shard]:
        """The files in the order in which to receive from them: the own ones, each as often the
        first, and then the others."""
        there = [shard.number for shard in self._shards]  # of the own ones some may be gone
        mine = self._receives.look(now := self._clock.now())
        own = [number for number in mine if number < len(there)] or there
        self._looks += 1
        others = [number for number in there if number not in own]
        numbers = [*_turned(own, self._looks), *others]
        # What it sends is here first.
        if self._busy and (here := self._file(self._turn)[0]) in numbers[1:]:
            numbers.remove(here)
            numbers.insert(0, here)
        if others and now >= self._elsewhere_at:
            self._elsewhere_at = now + ELSEWHERE
            numbers = [*_turned(others, self._looks), *own]
        return [self._shards[number] for number in numbers]

    def new_place(self, many: bool = False) -> int:
        """Where something new is to lie, or `many` such things: each such batch goes to another
        file."""
        now = self._clock.now()
        self._made += 1
        if not self._made % FEW:
            self._sends.look(now)
        if (turn := int(now / TURN)) != self._turn:
            lately = self._made - self._made_before >= BUSY
            self._busy = lately and turn == self._turn + 1
            self._turn, self._made_before = turn, self._made
        step = self._turn if self._busy else 0
        if many:
            step = self._batches = self._batches + 1
        _, places = self._file(step)
        return places[self._random.getrandbits(10) % len(places)]

    def _file(self, step: int) -> tuple[int, Sequence[int]]:
        """One of those that have places, so many steps from the own one, and its places; both are
        of one map: another thread may go by the next one at any time."""
        files = self._placement.files
        return files[(self._sends.number + step) % len(files)]


def _turned(numbers: Sequence[int], by: int) -> Sequence[int]:
    at = by % len(numbers)
    return [*numbers[at:], *numbers[:at]]
