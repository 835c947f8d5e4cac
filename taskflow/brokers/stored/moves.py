"""Tasks that move messages out of dead-letter queues, a step at a time."""

from dataclasses import replace
from functools import partial

from taskflow.broker.settings import MoveTask
from taskflow.brokers.stored.core import Core
from taskflow.brokers.stored.letters import anew
from taskflow.brokers.stored.lookup import find_queue, sources_of
from taskflow.errors import LimitExceeded, MoveTaskNotFound
from taskflow.limits import MAX_MOVE_RATE
from taskflow.message import new_id
from taskflow.stores.row import Moved, QueueRow, Row
from taskflow.stores.rows import Rows

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/troubleshooting-dlq-redrive.html
GONE = "AWS.SimpleQueueService.NonExistentQueue"
UNKNOWN = "CouldNotDetermineMessageSource"


class Moves:
    """Starts, ends and makes the moves out of dead-letter queues. Thread-safe."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def start_move(
        self, source: str, destination: str | None = None, rate: int | None = None
    ) -> MoveTask:
        """Begin to move the messages of a dead-letter queue."""
        if rate is not None and not 1 <= rate <= MAX_MOVE_RATE:
            raise LimitExceeded(f"rate is {rate} messages a second; 1 to {MAX_MOVE_RATE}")
        handle = new_id(self._core.now(), self._core.random)

        def start(rows: Rows) -> MoveTask:
            now = self._core.now()
            queue = find_queue(rows, source)
            if destination is not None and find_queue(rows, destination).fifo != queue.fifo:
                raise LimitExceeded(
                    f"a FIFO queue's messages move to a FIFO queue, a standard queue's to a "
                    f"standard one; {source!r} and {destination!r} differ"
                )
            if not sources_of(rows, source):
                raise LimitExceeded(f"queue {source!r} is no queue's dead-letter queue")
            if any(task.status == "RUNNING" for task in rows.moves(source)):
                raise LimitExceeded(f"queue {source!r} has a move task running already")
            visible, *_ = rows.counts(queue.id, now, now - queue.settings.retention)
            task = MoveTask(handle, source, destination, rate, "RUNNING", 0, visible, now)
            rows.put_move(task)
            return task

        return self._core.store.transact(start, durable=True, alone=True)

    def cancel_move(self, handle: str) -> MoveTask:
        """Stop a running move."""

        def cancel(rows: Rows) -> MoveTask:
            task = rows.running(handle)
            if task is None:
                raise MoveTaskNotFound(f"no running move task has the handle {handle!r}")
            task = replace(task, status="CANCELLED")
            rows.put_move(task)
            return task

        return self._core.store.transact(cancel)

    def moves(self, source: str | None = None) -> list[MoveTask]:
        """Moves, newest first."""
        return self._core.store.look(lambda rows: rows.moves(source))

    def step_moves(self, limit: int = 100) -> bool:
        """Move what is due of every running move."""
        store = self._core.store
        running = [task for task in self.moves() if task.status == "RUNNING"]
        if not running:
            return False
        for task in running:
            woken = store.transact(partial(self._step_one, handle=task.handle, limit=limit))
            self._core.waiters.announce(woken)
        store.sync()
        return any(task.status == "RUNNING" for task in self.moves())

    def _step_one(self, rows: Rows, *, handle: str, limit: int) -> set[str]:
        """Answers the queues to ring."""
        task = rows.running(handle)
        return set() if task is None else self._step(rows, task, limit)

    def _step(self, rows: Rows, task: MoveTask, limit: int) -> set[str]:
        now = self._core.now()
        source = rows.queue(task.source)
        if source is None:
            rows.put_move(replace(task, status="FAILED", failure=GONE))
            return set()
        if task.rate is not None:
            allowed = int((now - task.started_at) * task.rate) + 1 - task.moved
            limit = max(0, min(limit, allowed))
        limit = min(limit, task.total - task.moved)
        woken: set[str] = set()
        letters = rows.due(source, now, limit) if limit > 0 else []
        for letter in letters:
            if letter.sent_at + source.settings.retention <= now:
                rows.drop_old(source.id, [letter.seq])
                continue
            home = self._home(rows, task, letter)
            if home is None:
                unknown = task.destination is None and letter.source is None
                failure = UNKNOWN if unknown else GONE
                rows.put_move(replace(task, status="FAILED", failure=failure))
                return woken
            (moved,) = rows.move(source.id, [Moved(anew(letter, now), home, None)], now)
            task = replace(task, moved=task.moved + moved)
            woken.add(home.name)
        if task.moved >= task.total or (limit > 0 and not letters):
            task = replace(task, status="COMPLETED")
        rows.put_move(task)
        return woken

    @staticmethod
    def _home(rows: Rows, task: MoveTask, letter: Row) -> QueueRow | None:
        if task.destination is not None:
            return rows.queue(task.destination)
        return None if letter.source is None else rows.queue_of(letter.source)
