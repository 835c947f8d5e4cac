"""A number that only rises, by labels."""

import threading
from collections.abc import Sequence

from taskflow import forking
from taskflow.telemetry.family import Family, Sample


class Counter:
    """Thread-safe. `name` ends in `_total`; a label that is not bounded does not belong here."""

    def __init__(self, name: str, help: str, labels: Sequence[str]) -> None:
        self._name = name
        self._help = help
        self._labels = labels
        self._lock: threading.RLock  # a handler of signals may count while its thread has it
        forking.anew(self, _lock=threading.RLock)
        self._values: dict[tuple[str, ...], float] = {}

    def add(self, *labels: str, by: float = 1) -> None:
        """Raise the number of these labels, given in the order they have."""
        with self._lock:
            try:  # with no call between the look and the change
                self._values[labels] += by
            except KeyError:
                self._values[labels] = by

    def family(self) -> Family:
        """As it is now."""
        with self._lock:
            values = dict(self._values)
        samples = [
            Sample(dict(zip(self._labels, labels, strict=True)), value)
            for labels, value in sorted(values.items())
        ]
        return Family(self._name, "counter", self._help, samples)
