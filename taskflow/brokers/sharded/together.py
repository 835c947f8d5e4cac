"""Several verbs one after the other, where nobody may wait, over several files."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from taskflow.broker.prompt import Outcome
from taskflow.brokers.sharded.course import Course
from taskflow.brokers.sharded.hub import Hub
from taskflow.brokers.sharded.shard import Shard
from taskflow.brokers.stored.gatherer import Gatherer


class Together:
    """Each verb is a transaction by itself: who holds one file while it wants another waits for who
    holds that and wants this one, so eight processes over eight files did an eighth of what one
    did. When the files have another map than the one it goes by nothing is done, and it is as if
    something had to be waited for: whoever may looks for the new one."""

    def __init__(self, course: Course, shards: Sequence[Shard], hub: Hub) -> None:
        self._course = course
        self._gatherer = Gatherer(
            lambda: [shard.store for shard in shards], lambda: hub.waiters.keeping()
        )

    def gathered(
        self, verbs: Sequence[Callable[[], Any]], patience: float | None = None
    ) -> tuple[list[Outcome], Callable[[], None] | None]:
        """As `taskflow.broker.prompt.Gathered`."""
        outcomes: list[Outcome] = []
        waits: list[Callable[[], None]] = []
        for verb in verbs:
            try:
                (outcome,), wait = self._course.once(
                    partial(self._gatherer.gathered, [verb], patience)
                )
            except Exception as error:
                outcome, wait = (None, error), None
            outcomes.append(outcome)
            if wait is not None:
                waits.append(wait)
        return outcomes, partial(_call_all, waits) if waits else None


def _call_all(waits: Sequence[Callable[[], None]]) -> None:
    for wait in waits:
        wait()
