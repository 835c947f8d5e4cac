"""How long messages waited lately, by the reports of workers, which count since each began."""

from collections.abc import Mapping, Sequence

from taskflow.broker.settings import WorkerReport

Waits = Mapping[str, Mapping[int, int]]


class RecentWaits:
    """Remembers the reports of its last call. Not thread-safe: one holder of the history calls it,
    and who takes over from it knows nothing at its first call."""

    def __init__(self) -> None:
        self._before: Mapping[str, Waits] | None = None

    def since(self, workers: Sequence[WorkerReport]) -> dict[str, dict[int, int]]:
        """By queue, how many began after so long, since the last call; nothing at the first. What a
        worker did between its last report and its end is missing."""
        before, self._before = self._before, {one.id: one.waits for one in workers}
        found: dict[str, dict[int, int]] = {}
        if before is None:
            return found
        for one in workers:
            known = before.get(one.id, {})
            for queue, counts in one.waits.items():
                of_queue, old = found.setdefault(queue, {}), known.get(queue, {})
                for number, count in counts.items():
                    of_queue[number] = of_queue.get(number, 0) + count - old.get(number, 0)
        return found
