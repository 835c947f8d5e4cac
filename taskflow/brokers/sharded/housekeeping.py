"""What nobody's call asks for, in all files, and what one owes another."""

from collections.abc import Sequence

from taskflow.brokers.sharded.agreement import Agreement
from taskflow.brokers.sharded.course import Course
from taskflow.brokers.sharded.moves import Moves
from taskflow.brokers.sharded.parcels import Parcels
from taskflow.brokers.sharded.shard import Shard


class Upkeep:
    """Small bounded steps. Thread-safe; any number of processes may do it."""

    def __init__(
        self,
        course: Course,
        shards: Sequence[Shard],
        agreement: Agreement,
        parcels: Parcels,
        moves: Moves,
    ) -> None:
        self._steady = course.steady
        self._shards = shards
        self._agreement = agreement
        self._parcels = parcels
        self._moves = moves

    def run(self, limit: int = 1000) -> bool:
        """Do a step of each kind; whether there is more to do at once."""
        more = self.mend(limit)
        more = self._moves.step_moves(limit) or more
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
