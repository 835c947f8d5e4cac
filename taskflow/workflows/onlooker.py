"""A broker that may only be looked at: whoever would change something through it is stopped."""

from collections.abc import Callable
from typing import Any

from taskflow.broker import Broker

LOOKS = (
    *("clock", "random", "features", "economy", "max_message_bytes", "new_place"),
    *(
        "records",
        "list_records",
        "holders",
        "counts",
        "survey",
        "queues",
        "topics",
        "settings",
        "peek",
    ),
)


class Onlooker:
    """Stands for a broker while a run is replayed. `stop` is called instead of any other verb."""

    def __init__(self, broker: Broker, stop: Callable[[], Any]) -> None:
        self._broker = broker
        self._stop = stop

    def __getattr__(self, name: str) -> Any:
        if name in LOOKS:
            return getattr(self._broker, name)
        if not hasattr(self._broker, name):
            raise AttributeError(name)
        return self._refuse

    def publish(self, topic: str, messages: Any, **_: Any) -> Any:
        """Of no messages it says how many subscribe."""
        return self._refuse() if messages else self._broker.publish(topic, messages)

    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        return self._stop()
