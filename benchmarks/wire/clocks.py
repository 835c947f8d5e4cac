"""What one job of the load measures: time, the server's CPU, and how long requests took."""

import statistics
import time
from collections.abc import Iterable, Sequence

from benchmarks import accounting


def cpu_of(pids: Iterable[int]) -> float:
    """CPU seconds of all threads of these processes so far.

    Children that have ended are not in it, and none of these servers has any.
    """
    return sum(map(accounting.clock, pids))


class Meter:
    """Wall and CPU seconds of some processes and their descendants, from `start` to `stop`."""

    def __init__(self, roots: Sequence[int]) -> None:
        self._pids = accounting.tree(roots)
        self.wall = self.cpu = 0.0
        self._since = (0.0, 0.0)

    def start(self) -> None:
        self._since = (time.perf_counter(), cpu_of(self._pids))

    def stop(self) -> None:
        """Adds what has passed since `start`."""
        wall, cpu = self._since
        self.wall += time.perf_counter() - wall
        self.cpu += cpu_of(self._pids) - cpu


def quantiles(seconds: Sequence[float], prefix: str) -> dict[str, float]:
    """p50 and p99 in milliseconds; nothing for fewer than two samples."""
    if len(seconds) < 2:
        return {}
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {f"{prefix}p50_ms": cuts[49] * 1e3, f"{prefix}p99_ms": cuts[98] * 1e3}
