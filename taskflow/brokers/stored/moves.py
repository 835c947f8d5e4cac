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
        handle = new_id(self._core.now(), self._core.random)
        task = MoveTask(handle, source, destination, rate, "RUNNING", 0, 0, 0.0)

        def start(rows: Rows) -> MoveTask:
            now = self._core.now()
            return begin(
                rows, replace(task, started_at=now, total=count_visible(rows, source, now))
            )

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
        if task is None:
            return set()
        task, woken = step(rows, task, limit, self._core.now())
        rows.put_move(task)
        return woken


def begin(rows: Rows, task: MoveTask) -> MoveTask:
    """Note that a move begins, if it may."""
    source, destination = task.source, task.destination
    if task.rate is not None and not 1 <= task.rate <= MAX_MOVE_RATE:
        raise LimitExceeded(f"rate is {task.rate} messages a second; 1 to {MAX_MOVE_RATE}")
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
    rows.put_move(task)
    return task


def count_visible(rows: Rows, queue: str, now: float) -> int:
    """How many messages of a queue may be received."""
    found = find_queue(rows, queue)
    return rows.counts([(found.id, now - found.settings.retention)], now)[0].visible


def step(rows: Rows, task: MoveTask, limit: int, now: float) -> tuple[MoveTask, set[str]]:
    """Move what is due, `limit` messages at most; answers what is known of the move after that, and
    the queues to ring. It is completed when nothing is left, of its total or in `rows`."""
    source = rows.queue(task.source)
    if source is None:
        return replace(task, status="FAILED", failure=GONE), set()
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
        home = _home(rows, task, letter)
        if home is None:
            unknown = task.destination is None and letter.source is None
            return replace(task, status="FAILED", failure=UNKNOWN if unknown else GONE), woken
        (moved,) = rows.move(source.id, [Moved(anew(letter, now), home, None)], now)
        task = replace(task, moved=task.moved + moved)
        woken.add(home.name)
    if task.moved >= task.total or (limit > 0 and not letters):
        task = replace(task, status="COMPLETED")
    return task, woken


def _home(rows: Rows, task: MoveTask, letter: Row) -> QueueRow | None:
    if task.destination is not None:
        return rows.queue(task.destination)
    return None if letter.source is None else rows.queue_of(letter.source)
