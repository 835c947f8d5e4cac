"""What is compared of two trees: one number of a workload, and which way is better."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

HIGHER = ("rate", "per_cpu")
LEFT_OUT = {
    "jobs",
    "lost",
    "calls",
    "members",
    "schedules",
    "run_twice",
    "over_ideal",
    "max_ms",
    "store_cpu_per_1000",
    "store_share",
    "client_cpu_per_1000",
}
"""Columns of the tables that are counts, another column again, one extreme, or not taskflow's."""


@dataclass(frozen=True)
class Figure:
    """`metric` is its name in a sample."""

    workload: str
    metric: str

    @property
    def more(self) -> bool:
        """Higher is better."""
        return self.metric.endswith(HIGHER)

    def ratio(self, now: float, before: float) -> float:
        """1 when nothing changed, less when it became worse."""
        over, under = (now, before) if self.more else (before, now)
        if over == under:
            return 1.0
        return over / under if under else float("inf")


def figures(tables: Iterable[tuple[str, str, Sequence[tuple[str, str, Any]]]]) -> list[Figure]:
    """Those of a report's tables."""
    return [
        Figure(workload, metric)
        for workload, _, columns in tables
        for _, metric, _ in columns
        if metric not in LEFT_OUT
    ]
