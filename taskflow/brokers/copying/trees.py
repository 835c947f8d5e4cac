"""What a broker keeps in trees of records, as whoever wrote them knows it."""

from collections.abc import Collection, Iterator
from typing import Literal, NamedTuple, Protocol

from taskflow.broker import Broker
from taskflow.broker.tree_handover import Asked

MOST_RECORDS = 20_000
"""Of one tree: it goes in one change, and is held in memory meanwhile."""
MOST_TEXT = 64 * 2**20
"""Characters of all values of one tree."""

Why = Literal["in_flight", "too_large", "unreadable"]


class Found(NamedTuple):
    """A tree, by the name that it is counted under: what to ask for, or why it stays; how many
    characters its values have."""

    name: str
    asked: Asked | None
    why: Why = "in_flight"
    text: int = 0


class Trees(Protocol):
    """Finds the trees of one sort."""

    def find(self, source: Broker, queues: Collection[str] | None) -> Iterator[Found]:
        """All there are, oldest first, read by page; of these queues alone, if any are given. They
        may leave while it goes on."""
        ...
