"""Several verbs in one transaction, over several files."""

from collections.abc import Callable, Sequence
from typing import Any

from taskflow.broker.prompt import Outcome
from taskflow.brokers.sharded.course import Course
from taskflow.brokers.sharded.hub import Hub
from taskflow.brokers.sharded.shard import Shard
from taskflow.brokers.stored.gatherer import Gatherer


class Together:
    """By one map from the first verb to the last. When the files have another one nothing is done,
    and it is as if something had to be waited for: whoever makes the calls one by one looks for
    the new map."""

    def __init__(self, course: Course, shards: Sequence[Shard], hub: Hub) -> None:
        self._course = course
        self._gatherer = Gatherer(
            lambda: [shard.store for shard in shards], lambda: hub.waiters.keeping()
        )

    def gathered(
        self, verbs: Sequence[Callable[[], Any]], patience: float | None = None
    ) -> tuple[list[Outcome], Callable[[], None] | None]:
        """As `taskflow.broker.prompt.Gathered`."""
        return self._course.once(lambda: self._gatherer.gathered(verbs, patience))

    def at_once(self, verb: Callable[[], Any]) -> tuple[Any, Callable[[], None] | None]:
        """As `taskflow.broker.prompt.Prompt`."""
        return self._course.once(lambda: self._gatherer.at_once(verb))
