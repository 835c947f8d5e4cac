"""The share of one file in the hub: it rings there, and is heard there."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from taskflow.brokers.sharded.hub import Hub, name_in


class ShardWaiters:
    """The share of one file in the hub."""

    def __init__(self, hub: Hub, number: int) -> None:
        self._hub = hub
        self._number = number

    def _here(self, names: Collection[str]) -> list[str]:
        return [name_in(self._number, name) for name in names]

    def listen(self) -> None:
        """As `Waiters`, as are the others."""
        self._hub.waiters.listen()

    def rung(self, queues: Sequence[str]) -> list[int]:
        return self._hub.waiters.rung(self._here(queues))

    @contextmanager
    def attending(self, names: Sequence[str]) -> Iterator[None]:
        with self._hub.waiters.attending(names):
            yield

    def park(
        self, queues: Sequence[str], rung: list[int], until: float, stop: Callable[[], bool] | None
    ) -> bool:
        return self._hub.waiters.park(self._here(queues), rung, until, stop)

    def announce(self, queues: Collection[str]) -> None:
        self._hub.waiters.announce(self._here(queues))

    def heard(self, queues: Collection[str]) -> None:
        self._hub.waiters.heard(self._here(queues))

    def watch(self, heard: Callable[[Collection[str]], None]) -> None:
        self._hub.watch(heard)

    def attend(self) -> None:
        self._hub.waiters.attend()

    def look_away(self) -> None:
        self._hub.waiters.look_away()

    def keeping(self) -> AbstractContextManager[None]:
        return self._hub.waiters.keeping()

    def wake(self) -> None:
        self._hub.waiters.wake()

    def close(self) -> None:
        self._hub.waiters.close()
