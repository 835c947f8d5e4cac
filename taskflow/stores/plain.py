"""What a store may do beside its protocol: take a plain publish, from the payload to the commit."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Protocol, runtime_checkable

from taskflow.event import Event
from taskflow.stores.row import QueueRow


class TakesPublishes(Protocol):
    """Stores what the general way stores, and declines what it does not know for certain."""

    def publish(self, topic: str, payload: Any, most: int) -> str | None:
        """Publish an event that has nothing but a payload, of at most so many bytes as a message,
        by a caller who is in no handler and no transaction; answers its id. None when it is
        declined: then nothing was stored. Raises what `taskflow.publish` raises."""
        ...

    def publish_many(self, topic: str, events: Sequence[Event[Any]], most: int) -> bool:
        """Publish these, all or none, by such a caller. False when it is declined: then nothing was
        stored. Raises what `taskflow.publish_many` raises for the store's sake."""
        ...


class PlainWay(TakesPublishes, Protocol):
    """The way of one store, which is told of what it may take."""

    def learn(self, topic: str, alone: QueueRow | None) -> None:
        """What is published to this topic goes to that standard queue alone, just as it is; None:
        it does not."""
        ...


@runtime_checkable
class TakesPlain(Protocol):
    """A store that has such a way."""

    def plain_way(
        self,
        *,
        now: Callable[[], float],
        random: Random,
        tidies_next: Callable[[], bool],
        count: Callable[[], None],
        announce: Callable[[Sequence[str]], None],
        heard: Callable[[Sequence[str]], None],
    ) -> PlainWay:
        """A new one. `tidies_next` says whether the next send is to do some housekeeping, as the
        general way does it; `count` is told of each other one. `announce` tells who waits for these
        queues, `heard` only those of this process."""
        ...
