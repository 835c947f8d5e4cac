"""How often something took how long, by labels."""

import threading
from bisect import bisect_left
from collections.abc import Sequence

from taskflow import forking
from taskflow.telemetry.exposition import number
from taskflow.telemetry.family import Family, Sample

RUN_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0)
WAIT_BUCKETS = (0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)


class Histogram:
    """Thread-safe. `name` ends in its unit; `bounds` are the upper ones, inclusive, rising."""

    def __init__(
        self, name: str, help: str, labels: Sequence[str], bounds: Sequence[float]
    ) -> None:
        self._name = name
        self._help = help
        self._labels = labels
        self._bounds = bounds
        self._lock: threading.RLock  # as a counter's
        forking.anew(self, _lock=threading.RLock)
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums: dict[tuple[str, ...], float] = {}

    def observe(self, value: float, *labels: str) -> None:
        """Count one, under these labels, given in the order they have."""
        with self._lock:
            counts = self._counts.get(labels)
            if counts is None:
                counts = self._counts[labels] = [0] * (len(self._bounds) + 1)
                self._sums[labels] = 0.0
            counts[bisect_left(self._bounds, value)] += 1
            self._sums[labels] += value

    def family(self) -> Family:
        """As it is now: each bucket holds those below it, too."""
        with self._lock:
            found = [(labels, list(counts)) for labels, counts in sorted(self._counts.items())]
            sums = dict(self._sums)
        samples = []
        for values, counts in found:
            labels = dict(zip(self._labels, values, strict=True))
            total = 0
            for bound, count in zip((*self._bounds, float("inf")), counts, strict=True):
                total += count
                samples.append(Sample({**labels, "le": number(bound)}, total, "_bucket"))
            samples.append(Sample(labels, sums[values], "_sum"))
            samples.append(Sample(labels, total, "_count"))
        return Family(self._name, "histogram", self._help, samples)
