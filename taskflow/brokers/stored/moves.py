"""Tasks that move messages out of dead-letter queues, a step at a time."""

from dataclasses import replace
from random import Random

from taskflow.broker.settings import MoveTask
from taskflow.brokers.stored.declare import find_queue
from taskflow.brokers.stored.operate import anew
from taskflow.brokers.stored.waiters import Waiters
from taskflow.clock import Clock
from taskflow.errors import LimitExceeded, MoveTaskNotFound
from taskflow.limits import MAX_MOVE_RATE
from taskflow.message import new_id
from taskflow.stores.base import QueueRow, Row, Rows, Store

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/troubleshooting-dlq-redrive.html
GONE = "AWS.SimpleQueueService.NonExistentQueue"
UNKNOWN = "CouldNotDetermineMessageSource"


class Moves:
    """A part of EmbeddedBroker; `taskflow.broker.Broker` is the contract."""

    clock: Clock
    random: Random
    _store: Store
    _waiters: Waiters

    def start_move(
        self, source: str, destination: str | None = None, rate: int | None = None
    ) -> MoveTask:
        if rate is not None and not 1 <= rate <= MAX_MOVE_RATE:
            raise LimitExceeded(f"rate is {rate} messages a second; 1 to {MAX_MOVE_RATE}")
        with self._store.write() as rows:
            now = self.clock.now()
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
            task = MoveTask(
                new_id(now, self.random), source, destination, rate, "RUNNING", 0, visible, now
            )
            rows.put_move(task)
        self._store.sync()
        return task

    def cancel_move(self, handle: str) -> MoveTask:
        with self._store.write() as rows:
            for task in rows.moves():
                if task.handle == handle and task.status == "RUNNING":
                    task = replace(task, status="CANCELLED")
                    rows.put_move(task)
                    return task
        raise MoveTaskNotFound(f"no running move task has the handle {handle!r}")

    def moves(self, source: str | None = None) -> list[MoveTask]:
        with self._store.read() as rows:
            return rows.moves(source)

    def step_moves(self, limit: int = 100) -> bool:
        with self._store.read() as rows:
            running = [task.handle for task in rows.moves() if task.status == "RUNNING"]
        for handle in running:
            woken: set[str] = set()
            with self._store.write() as rows:
                for task in rows.moves():
                    if task.handle == handle and task.status == "RUNNING":
                        woken = self._step(rows, task, limit)
            self._waiters.announce(woken)
        self._store.sync()
        with self._store.read() as rows:
            return any(task.status == "RUNNING" for task in rows.moves())

    def _step(self, rows: Rows, task: MoveTask, limit: int) -> set[str]:
        now = self.clock.now()
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
                rows.drop(source.id, [letter.seq])
                continue
            home = self._home(rows, task, letter)
            if home is None:
                unknown = task.destination is None and letter.source is None
                failure = UNKNOWN if unknown else GONE
                rows.put_move(replace(task, status="FAILED", failure=failure))
                return woken
            rows.move(source.id, anew(letter, now), home, None, now)
            task = replace(task, moved=task.moved + 1)
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


def sources_of(rows: Rows, name: str) -> list[str]:
    """The queues that have this one as their dead-letter queue."""
    return [
        queue
        for queue in rows.queues()
        if (found := rows.queue(queue)) and found.settings.dead_letter_queue == name
    ]
