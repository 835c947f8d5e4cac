"""Message groups in a worker: of each group of a FIFO queue one message runs, later ones wait.

Pure: no threads, no broker.
"""

from collections import deque
from collections.abc import Sequence

from taskflow.limits import is_fifo
from taskflow.message import Delivery
from taskflow.worker.job import Job

Lane = tuple[str, str | None]


def lane_of(delivery: Delivery) -> Lane | None:
    """Queue and group of a message that must keep its place; None for all others. (On a standard
    queue a group means fairness, not order.)"""
    if delivery.group is None or not is_fifo(delivery.queue):
        return None
    return delivery.queue, delivery.group


def divide(jobs: Sequence[Job]) -> tuple[list[Job], list[Job]]:
    """Of one receive, in its order: what to keep, and what to give back before anything starts.

    A crash takes an attempt from all that were received. So that a message which kills its worker
    does not bury those behind it, they are not held behind one that was received before, nor in
    their last attempt.
    """
    kept: list[Job] = []
    returned: list[Job] = []
    first: dict[Lane, Job] = {}
    closed: set[Lane] = set()
    for job in jobs:
        lane = lane_of(job.delivery)
        if lane is None or first.setdefault(lane, job) is job:
            kept.append(job)
        elif lane in closed or first[lane].delivery.receive_count > 1 or _is_last(job):
            closed.add(lane)
            returned.append(job)
        else:
            kept.append(job)
    return kept, returned


def _is_last(job: Job) -> bool:
    return job.delivery.receive_count >= job.policy.max_attempts


class Groups:
    """The messages held of each group, in order. The first of a group may run. Not thread-safe."""

    def __init__(self) -> None:
        self._held: dict[Lane, deque[Job]] = {}

    def enter(self, job: Job) -> bool:
        """Take a received job in. True when it may run now, else it waits for those before it."""
        lane = lane_of(job.delivery)
        if lane is None:
            return True
        held = self._held.setdefault(lane, deque())
        held.append(job)
        return len(held) == 1

    def holds(self, lane: Lane) -> bool:
        """Whether what comes of this group waits."""
        return lane in self._held

    def advance(self, job: Job) -> Job | None:
        """The first of its group has been handled: the next one, which may run now."""
        held = self._led_by(job)
        if held is None:
            return None
        held.popleft()
        if held:
            return held[0]
        del self._held[job.delivery.queue, job.delivery.group]
        return None

    def disband(self, job: Job) -> list[Job]:
        """The first of its group was not handled: those behind it, which must not run."""
        behind = self.recall(job)
        if self._led_by(job) is not None:
            del self._held[job.delivery.queue, job.delivery.group]
        return behind

    def recall(self, first: Job) -> list[Job]:
        """Take away those behind the first of a group, which itself still runs."""
        held = self._led_by(first)
        if held is None:
            return []
        _, *behind = held
        held.clear()
        held.append(first)
        return behind

    def recall_all(self) -> list[Job]:
        """Take away all that wait."""
        return [job for held in self._held.values() for job in self.recall(held[0])]

    def behind(self) -> list[Job]:
        """All that wait."""
        return [job for held in self._held.values() for job in list(held)[1:]]

    def _led_by(self, job: Job) -> deque[Job] | None:
        held = self._held.get((job.delivery.queue, job.delivery.group))
        return held if held is not None and held[0] is job else None
