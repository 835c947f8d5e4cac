"""How many messages of each queue were handled and dead-lettered, until it is written down."""

from collections import Counter


class Tallies:
    """Counts by queue. One row for each queue would be what all acknowledgements wait for."""

    def __init__(self) -> None:
        self.handled: Counter[int] = Counter()
        self.dead_lettered: Counter[int] = Counter()

    def __bool__(self) -> bool:
        return bool(self.handled or self.dead_lettered)

    def add(self, other: "Tallies") -> None:
        """Take over what another has counted."""
        self.handled += other.handled
        self.dead_lettered += other.dead_lettered
        other.clear()

    def count(self, queue: int, handled: int, dead_lettered: int) -> None:
        """Count some of a queue."""
        if handled:
            self.handled[queue] += handled
        if dead_lettered:
            self.dead_lettered[queue] += dead_lettered

    def clear(self) -> None:
        """Forget all."""
        self.handled.clear()
        self.dead_lettered.clear()

    def copy(self) -> "Tallies":
        """As it is now."""
        made = Tallies()
        made.handled, made.dead_lettered = self.handled.copy(), self.dead_lettered.copy()
        return made

    def rows(self) -> list[tuple[int, int, int]]:
        """(queue, handled, dead-lettered) in the order of queues."""
        queues = sorted({*self.handled, *self.dead_lettered})
        return [(queue, self.handled[queue], self.dead_lettered[queue]) for queue in queues]
