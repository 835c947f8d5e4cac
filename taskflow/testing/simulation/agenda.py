"""When the queues of a simulation have something: asked only of those that may have changed."""

from collections.abc import Callable, Collection, Iterable

from taskflow.broker import Broker


class Agenda:
    """Knows of each queue when it was last found to have something next, and which of them must be
    looked at again: what a broker rings, and what the simulation itself has touched. `first_due`
    says of a queue when its first message is visible, or has been since."""

    def __init__(
        self, broker: Broker, first_due: Callable[[str], float | None], queues: Iterable[str]
    ) -> None:
        self._broker = broker
        self._first_due = first_due
        self._due: dict[str, float | None] = dict.fromkeys(queues)
        self._rung: set[str] = set()
        self._open = set(self._due)
        broker.watch(self._hear)

    def _hear(self, queues: Collection[str]) -> None:
        self._rung.update(self._due.keys() & queues)

    def touch(self) -> None:
        """Look at all queues again."""
        self._open.update(self._due)

    def look_at(self, queue: str) -> None:
        """Look at this one again."""
        self._open.add(queue)

    def ready(self, now: float, closed: Collection[str]) -> str | None:
        """A queue that may have something at this moment: the one that was asked longest ago."""
        rung, opened = self._rung, self._open
        for queue, due in self._due.items():  # until one is found, of which the order changes
            if queue in closed:
                continue
            has = queue in rung or (due is not None and due <= now)
            if has or (queue in opened and self._has(queue, now)):
                self._due[queue] = self._due.pop(queue)
                rung.discard(queue)
                return queue
        return None

    def _has(self, queue: str, now: float) -> bool:
        """Whether one that is to be looked at has something now; else when it will is known."""
        due = self._first_due(queue)
        if due is not None and due <= now:
            return True
        self._open.discard(queue)
        self._due[queue] = due
        return False

    def empty(self, queue: str) -> None:
        """It had nothing visible: when will it?"""
        self._open.discard(queue)
        self._due[queue] = self._broker.next_due(queue)

    def postpone(self, queue: str, until: float) -> None:
        """It is not to be asked before then."""
        self._open.discard(queue)
        self._due[queue] = until

    def next(self, closed: Collection[str] = ()) -> float | None:
        """When there is something next, by what is known; those `closed` aside."""
        dues = [due for name, due in self._due.items() if due is not None and name not in closed]
        return min(dues, default=None)
