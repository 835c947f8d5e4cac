"""Which of the held messages may start next: those with a free slot whose group is at their turn.

Pure: no threads, no broker.
"""

from collections import deque
from collections.abc import Sequence

from taskflow.worker.job import Job
from taskflow.worker.ordering import Groups, lane_of
from taskflow.worker.slots import Slots


class Lineup:
    """Not thread-safe: its owner calls it under a lock. Without slots any number may start."""

    def __init__(self, slots: Slots | None) -> None:
        self._slots = slots
        self._groups = Groups()
        self.ready: deque[Job] = deque()
        """Those that a thread may start, in order; each has a slot."""

    def denies(self, job: Job, denied: Sequence[Job]) -> bool:
        """Whether it must not be held: since it was asked for, the next of a group has taken the
        slot that a limit left; or one before it in its own group is among the denied."""
        if job.delivery.group is not None and (lane := lane_of(job.delivery)) is not None:
            if any(lane_of(one.delivery) == lane for one in denied):
                return True
            if self._groups.holds(lane):
                return False  # it waits without a slot
        return self._slots is not None and not self._slots.fits(job)

    def enter(self, job: Job) -> bool:
        """Take it in. True when it may start now, else it waits for its group, without a slot."""
        if job.delivery.group is not None and not self._groups.enter(job):
            return False
        self._admit(job)
        return True

    def follow(self, job: Job) -> tuple[Job | None, list[Job]]:
        """It was handled: the next of its group takes its place, if the next one's own limits
        allow it. Answers that one, and those that must not run."""
        queue, slots = job.delivery.queue, self._slots
        room = 0 if slots is None else slots.room(queue)
        self.free(job)
        following = self._groups.advance(job)
        if following is None:
            return None, []
        self._admit(following)
        if slots is None or slots.room(queue) >= min(0, room):  # below 0: so many were prefetched
            return following, []
        self.ready.pop()
        return None, [following, *self.leave(following)]

    def leave(self, job: Job) -> list[Job]:
        """It has its slot no more, and was not handled: answers those behind it, which must not
        run."""
        self.free(job)
        return self._groups.disband(job)

    def free(self, job: Job) -> None:
        """It has its slot no more."""
        if self._slots is not None:
            self._slots.leave(job)

    def take_ready(self) -> list[Job]:
        """No thread will start those that one could have, nor what waits for them; answers them."""
        ready = list(self.ready)
        self.ready.clear()
        return ready + [behind for job in ready for behind in self.leave(job)]

    def take_waiting(self) -> list[Job]:
        """Take away all that wait for their group."""
        return self._groups.recall_all()

    def recall(self, job: Job) -> list[Job]:
        """Take away those that wait behind this one, which itself still runs."""
        return self._groups.recall(job)

    def waiting(self) -> list[Job]:
        """All that wait for their group."""
        return self._groups.behind()

    def _admit(self, job: Job) -> None:
        self.ready.append(job)
        if self._slots is not None:
            self._slots.enter(job)
