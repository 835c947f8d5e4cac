"""Tasks that move messages out of dead-letter queues: known to the leader, done in each file."""

from collections.abc import Sequence
from dataclasses import replace

from taskflow.broker.settings import MoveTask
from taskflow.brokers.sharded.course import Course
from taskflow.brokers.sharded.shard import Shard
from taskflow.brokers.stored.moves import begin, count_visible, step
from taskflow.message import new_id
from taskflow.stores.rows import Rows


class Moves:
    """Thread-safe. A step moves within one file, noted by the leader in the same moment; whoever
    dies between the two commits has moved messages that are not counted."""

    def __init__(self, course: Course, shards: Sequence[Shard]) -> None:
        self._steady = course.steady
        self._shards = shards
        self._leader = shards[0]
        self.cancel_move = self._leader.broker.cancel_move
        self.moves = self._leader.broker.moves

    def start_move(
        self, source: str, destination: str | None = None, rate: int | None = None
    ) -> MoveTask:
        """Begin to move the messages of a dead-letter queue."""
        core = self._leader.broker.core
        handle = new_id(core.now(), core.random)
        now = core.now()
        total = self._steady(
            lambda: sum(
                shard.store.look(lambda rows: count_visible(rows, source, now))
                for shard in self._shards
            )
        )
        task = MoveTask(handle, source, destination, rate, "RUNNING", 0, total, now)
        return self._leader.store.transact(lambda rows: begin(rows, task), durable=True, alone=True)

    def step_moves(self, limit: int = 100) -> bool:
        """Move what is due of every running move."""
        running = [task for task in self.moves() if task.status == "RUNNING"]
        for task in running:
            self._steady(lambda handle=task.handle: self._step(handle, limit))  # type: ignore[misc]
        return bool(running) and any(task.status == "RUNNING" for task in self.moves())

    def _step(self, handle: str, limit: int) -> None:
        """Up to `limit` messages, from one file after the other."""
        left = limit
        for shard in self._shards:
            last = shard is self._shards[-1]
            moved, goes_on = self._step_in(shard, handle, left, last)
            left -= moved
            if not goes_on or left <= 0:
                return

    def _step_in(self, shard: Shard, handle: str, limit: int, last: bool) -> tuple[int, bool]:
        """Answers how many moved, and whether the move goes on."""
        leader, now = self._leader, self._leader.broker.core.now()

        def move(tasks: Rows, rows: Rows) -> tuple[int, bool, set[str]]:
            task = tasks.running(handle)
            if task is None:
                return 0, False, set()
            after, woken = step(rows, task, limit, now)
            done = after.moved >= after.total
            if after.status == "COMPLETED" and not done and not last:
                after = replace(after, status="RUNNING")  # there may be more in other files
            tasks.put_move(after)
            return after.moved - task.moved, after.status == "RUNNING", woken

        moved, goes_on, woken = leader.store.transact(
            lambda tasks: shard.store.transact(lambda rows: move(tasks, rows))
        )
        shard.broker.core.waiters.announce(woken)
        return moved, goes_on
