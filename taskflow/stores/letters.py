"""The seam for dead letters by cause: what a store counts of them, inside the same transaction."""

from collections.abc import Collection
from typing import Protocol

from taskflow.stores.row import CauseEnds, CauseRow

HOUR = 3600.0
TREND_KEPT = 48  # hours


class Letters(Protocol):
    """A row that comes to a queue with a source (`Rows.move`, `HandoverRows.add`) is counted under
    its cause, and no more when it goes, whatever takes it away."""

    def causes(self, queues: Collection[int] | None) -> list[CauseRow]:
        """The causes of which there are letters, of these queues or of all; the most first."""
        ...

    def ends(self, cause: int, from_hour: int) -> CauseEnds | None:
        """What there is to say of a cause's letters; None when none is left. `trend` is from that
        hour on."""
        ...

    def forget(self, now: float) -> None:
        """Drop hours that are kept no longer, and causes that nothing speaks of any more."""
        ...
