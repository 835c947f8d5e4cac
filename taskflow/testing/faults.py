"""A broker that fails where it is told to, and takes the real road everywhere else."""

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

from taskflow import forking
from taskflow.broker import Broker
from taskflow.errors import BrokerUnavailable

When = Literal["before", "after"]
_QUIET = (
    "clock",
    "random",
    "economy",
    "max_message_bytes",
    "wake",
    "watch",
    "attend",
    "look_away",
    "close",
    "hurry",
)


class FaultBroker:
    """Hands every verb on to `broker`, but for those that are told to fail. Thread-safe.

    It is used where a Broker is: `Worker(FaultBroker(broker))`.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._lock: threading.Lock
        forking.anew(self, _lock=threading.Lock)
        self._faults: dict[tuple[str, int], tuple[When, BaseException]] = {}
        self.calls: Counter[str] = Counter()
        """How often each verb was called."""
        self.failed: list[str] = []
        """The verbs that were made to fail, in order."""

    def fail(
        self,
        verb: str,
        number: int = 1,
        when: When = "before",
        error: BaseException | None = None,
    ) -> None:
        """Let call `number` of `verb` (1 is the first) raise `error` (BrokerUnavailable): before
        the broker has heard of it, or after it has done what was asked, as when an answer is lost.
        """
        self._faults[verb, number] = when, error or BrokerUnavailable(f"{verb} was made to fail")

    def heal(self) -> None:
        """Let nothing fail that was told to, and has not yet."""
        self._faults.clear()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._broker, name)
        if name in _QUIET or not callable(found):
            return found
        return self._watched(name, found)

    def _watched(self, name: str, verb: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            with self._lock:
                self.calls[name] += 1
                fault = self._faults.pop((name, self.calls[name]), None)
                if fault is not None:
                    self.failed.append(name)
            if fault is None:
                return verb(*args, **named)
            when, error = fault
            if when == "after":
                verb(*args, **named)
            raise error

        return call
