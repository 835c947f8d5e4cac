"""What nobody's call asks for, in all files, and what one owes another."""

from collections.abc import Sequence

from taskflow.brokers.sharded.agreement import Agreement
from taskflow.brokers.sharded.course import Course
from taskflow.brokers.sharded.files import path_of
from taskflow.brokers.sharded.marks import Mark, check_marks, raise_mark, read_mark
from taskflow.brokers.sharded.moves import Moves
from taskflow.brokers.sharded.parcels import Parcels
from taskflow.brokers.sharded.shard import Shard
from taskflow.clock import Clock
from taskflow.stores.rows import Rows


class Upkeep:
    """Small bounded steps. Thread-safe; any number of processes may do it."""

    def __init__(
        self,
        course: Course,
        shards: Sequence[Shard],
        agreement: Agreement,
        parcels: Parcels,
        moves: Moves,
        clock: Clock,
    ) -> None:
        self._course = course
        self._steady = course.steady
        self._shards = shards
        self._agreement = agreement
        self._parcels = parcels
        self._moves = moves
        self._clock = clock
        self._known = Mark()

    def run(self, limit: int = 1000) -> bool:
        """Do a step of each kind; whether there is more to do at once."""
        more = self.mend(limit)
        more = self._moves.step_moves(limit) or more
        if self._known.is_due(self._clock.now()):
            self._steady(self._mark)
        return self._steady(lambda: self._clean(limit)) or more

    def _clean(self, limit: int) -> bool:
        more = False
        for shard in self._shards:
            more = shard.broker.clean(limit) or more
        return more

    def mend(self, limit: int = 1000) -> bool:
        """What was left half done by whoever died, is done; whether there is more of it."""

        def mend() -> bool:
            self._agreement.mend()
            return self._parcels.move(limit)

        return self._steady(mend)

    def _mark(self) -> None:
        """Have the others on disk with the leader's mark, and then the leader with the next."""
        leader, *others = self._shards
        found = self._known = leader.store.look(read_mark, kept=True)
        now = self._clock.now()
        if not found.is_due(now):
            return
        leader.store.sync_file()
        path = self._course.leader

        def follow(rows: Rows) -> Mark:
            said = read_mark(rows)
            if said.number == found.number - 1:
                raise_mark(rows, found)
            return said

        for shard in others:
            said = shard.store.transact(follow)  # of the one that lies there now
            shard.store.sync_file()  # whatever was asked for: else a power cut takes one of two
            first = found
            if said.number > found.number:
                first = leader.store.look(read_mark, kept=True)
                if first.number >= said.number:
                    return  # somebody was faster
            check_marks([(path, first), (path_of(path, shard.number), said)])

        def raise_leader(rows: Rows) -> None:
            if read_mark(rows) == found:  # else somebody else did
                raise_mark(rows, Mark(found.number + 1, now))

        leader.store.transact(raise_leader)
