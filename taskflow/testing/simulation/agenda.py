"""When the queues of a simulation have something: asked only of those that may have changed."""

from collections.abc import Collection, Iterable

from taskflow.broker import Broker


class Agenda:
    """Knows of each queue when it was last found to have something next, and which of them must be
    looked at again: what a broker rings, and what the simulation itself has touched."""

    def __init__(self, broker: Broker, queues: Iterable[str]) -> None:
        self._broker = broker
        self._due: dict[str, float | None] = dict.fromkeys(queues)
        self._stale = set(self._due)
        broker.watch(self.touch)

    def touch(self, queues: Collection[str] | None = None) -> None:
        """Look at these queues again (None: at all)."""
        self._stale.update(self._due if queues is None else self._due.keys() & queues)

    def ready(self, now: float, closed: Collection[str]) -> str | None:
        """A queue that may have something at this moment: the one that was asked longest ago."""
        for queue, due in self._due.items():
            if (queue in self._stale or (due is not None and due <= now)) and queue not in closed:
                self._due[queue] = self._due.pop(queue)
                return queue
        return None

    def empty(self, queue: str) -> None:
        """It had nothing visible: when will it?"""
        self._stale.discard(queue)
        self._due[queue] = self._broker.next_due(queue)

    def postpone(self, queue: str, until: float) -> None:
        """It is not to be asked before then."""
        self._stale.discard(queue)
        self._due[queue] = until

    def next(self, closed: Collection[str] = ()) -> float | None:
        """When there is something next, by what is known; those `closed` aside."""
        dues = [due for name, due in self._due.items() if due is not None and name not in closed]
        return min(dues, default=None)
