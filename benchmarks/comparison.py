"""Two trees of taskflow in one run: what became of every figure."""

import statistics
from collections.abc import Sequence
from typing import TypeVar

from benchmarks.figure import Figure
from benchmarks.report import grid
from benchmarks.results import Results

BEFORE = "-before"
"""What the name of a peer out of the other tree ends with."""
ENOUGH = 0.95

T = TypeVar("T")


def alternated(peers: list[T], number: int) -> list[T]:
    """The order of a round: of two trees, each goes first every other time."""
    return peers if number % 2 else peers[::-1]


class Comparison:
    """The table of ratios. A round counts where both trees have a figure for it."""

    def __init__(self, results: Results, peers: Sequence[str], figures: Sequence[Figure]) -> None:
        self._results = results
        self._peers = peers
        self._figures = figures

    def markdown(self) -> str:
        rows, low = [], []
        for peer in self._peers:
            for figure in self._figures:
                row = self._row(peer, figure)
                rows += [row] if row else []
                low += [" ".join(row[:4])] if row and row[-1] else []
        head = ["peer", "workload", "figure", "now/before", "single rounds", "rounds"]
        parts = [grid([*head, "before", "now", ""], rows)]
        failures = self._failures()
        parts += [f"FAILED {failure}\n" for failure in failures]
        said = f"Below {ENOUGH}: {'; '.join(low) if low else 'none'} of {len(rows)} figures"
        parts.append(f"{said}, {len(failures)} samples failed.\n")
        return "\n".join(parts)

    def _row(self, peer: str, figure: Figure) -> list[str]:
        """Nothing when there is no round to compare."""
        now = self._results.by_round(figure.workload, peer, figure.metric)
        before = self._results.by_round(figure.workload, peer + BEFORE, figure.metric)
        rounds = sorted(now.keys() & before.keys())
        if not rounds:
            return []
        middle_now = statistics.median(now[number] for number in rounds)
        middle_before = statistics.median(before[number] for number in rounds)
        ratio = figure.ratio(middle_now, middle_before)
        single = [figure.ratio(now[number], before[number]) for number in rounds]
        return [
            peer,
            f"({figure.workload})",
            figure.metric,
            f"{ratio:.3f}",
            f"{min(single):.2f}–{max(single):.2f}",
            str(len(rounds)),
            f"{middle_before:.4g}",
            f"{middle_now:.4g}",
            "" if ratio >= ENOUGH else "**below**",
        ]

    def _failures(self) -> list[str]:
        return [
            f"({one['workload']}) {one['peer']}, round {one['round']}: {one['failed']}"
            for one in self._results.samples
            if "failed" in one
        ]
