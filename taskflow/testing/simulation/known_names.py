"""What a test may call a part of its application: a queue, a topic, a handler, a task."""

from collections.abc import Sequence
from typing import Protocol

from taskflow.registry import Registry


class Named(Protocol):
    """An attempt, or a dead letter."""

    @property
    def queue(self) -> str: ...
    @property
    def topic(self) -> str: ...
    @property
    def handler(self) -> str: ...


class Names:
    """The names of a registry. A handler's or task's last part alone is one, too."""

    def __init__(self, registry: Registry, topics: Sequence[str]) -> None:
        self._registry = registry
        self._topics = topics

    def check(self, name: str) -> None:
        """Raises ValueError for a name that nothing has."""
        registry = self._registry
        handlers = {one.name for queue in registry.queues() for one in registry.on(queue)}
        known = {*registry.queues(), *registry.topics(), *self._topics, *handlers}
        if name not in known and name not in {one.rpartition(".")[2] for one in handlers}:
            raise ValueError(
                f"{name!r} is no queue, topic, handler or task here; known: "
                f"{', '.join(sorted(known))}"
            )

    def fits(self, name: str, one: Named) -> bool:
        """Whether it is of that queue, topic, handler or task."""
        return name in (one.queue, one.topic, one.handler, one.handler.rpartition(".")[2])
