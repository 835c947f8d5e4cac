"""The broker verbs that look and repair, over AWS.

SQS shows no message without lending it: to look is to receive and give back, and costs a receive.
"""

import logging
from collections.abc import Callable, Collection
from typing import Any

from taskflow.broker.settings import MoveTask, QueueCounts
from taskflow.brokers.aws.polls import MAX_MESSAGES, Ask
from taskflow.brokers.aws.receiving import Receiving
from taskflow.brokers.aws.resend import redriven
from taskflow.errors import LimitExceeded, MoveTaskNotFound, QueueNotFound
from taskflow.limits import MAX_MOVE_RATE, is_fifo
from taskflow.message import Delivery

log = logging.getLogger("taskflow.aws")

LOOK = 60.0  # seconds for which messages are hidden while they are looked at
MOST_LOOKED_AT = 1000
MOVES_LISTED = 10
_COUNTED = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)
_STATUS: dict[str, Any] = {"CANCELLING": "CANCELLED"}


class Operating(Receiving):
    """A part of AwsBroker; `taskflow.broker.Broker` is the contract."""

    _moving: set[str]  # queues that this process has begun to move messages out of

    def counts(self, queue: str) -> QueueCounts:
        """What SQS says, approximately; how many were handled and dead-lettered counts this
        process alone. The age of the oldest is in CloudWatch only: 0."""
        texts = self._directory.attributes(queue, *_COUNTED)
        visible, in_flight, delayed = (int(texts.get(name, 0)) for name in _COUNTED)
        return QueueCounts(
            visible,
            in_flight,
            delayed,
            0.0,
            self._handled.get(queue, 0),
            self._dead.get(queue, 0),
            queue in self._polls.paused,
        )

    def next_due(self, *queues: str) -> float | None:
        """Of the messages that this process has received."""
        chosen = [name for name in queues if name not in self._polls.paused]
        return self._receipts.next_due(chosen, self.clock.now())

    # ---- look -------------------------------------------------------------------------------
    def peek(self, queue: str, limit: int = 100, ids: Collection[str] = ()) -> list[Delivery]:
        """Of those that are visible: what is in flight or delayed is not shown. They are hidden
        while this goes on, and SQS counts a receive of each."""
        looked = self._look_at(queue, MOST_LOOKED_AT if ids else limit)
        self.give_back(looked)
        chosen = [one for one in looked if not ids or one.id in ids][:limit]
        for one in chosen:
            one.receipt = ""
            one.receive_count -= 1
        return chosen

    def _look_at(self, queue: str, most: int) -> list[Delivery]:
        """Receive what is visible, whatever it is."""
        self._directory.url(queue)
        ask = Ask(queue, LOOK, None)
        found: list[Delivery] = []
        while len(found) < most:
            lent = self._lend(ask, min(MAX_MESSAGES, most - len(found)), 0)
            if not lent:
                break
            found += [delivery for delivery, _ in lent]
        return sorted(found, key=lambda one: (one.sequence, one.sent_at))

    def _choose(
        self,
        queue: str,
        ids: Collection[str],
        limit: int,
        wanted: Callable[[Delivery], bool] = lambda _: True,
    ) -> list[Delivery]:
        """Receive so many messages by their ids, or any; the others are given back."""
        looked = self._look_at(queue, max(limit, MOST_LOOKED_AT) if ids else limit)
        chosen = [one for one in looked if (not ids or one.id in ids) and wanted(one)][:limit]
        kept = {id(one) for one in chosen}
        self.give_back([one for one in looked if id(one) not in kept])
        return chosen

    # ---- repair -----------------------------------------------------------------------------
    def redrive(self, queue: str, ids: Collection[str] = (), limit: int = 1000) -> int:
        total = 0
        while total < limit:  # the later letters of a FIFO group come once the first are gone
            moved = self._redrive_some(queue, ids, limit - total)
            total += moved
            if not moved:
                break
        return total

    def _redrive_some(self, queue: str, ids: Collection[str], limit: int) -> int:
        letters = self._choose(queue, ids, limit, lambda one: one.source is not None)
        by_source: dict[str, list[Delivery]] = {}
        for letter in letters:
            by_source.setdefault(letter.source or "", []).append(letter)
        moved = 0
        for source, some in by_source.items():
            try:
                self._directory.url(source)
            except QueueNotFound:
                self.give_back(some)
                continue
            moved += sum(self._replace(queue, source, some, [redriven(one) for one in some]))
        return moved

    def purge(self, queue: str, ids: Collection[str] = (), limit: int = 10000) -> int:
        """By ids, or fewer than there are: of those that are visible. PurgeQueue otherwise, which
        AWS allows once a minute (BrokerUnavailable)."""
        counts = self.counts(queue)
        total = counts.visible + counts.in_flight + counts.delayed
        if ids or limit < total:
            chosen = self._choose(queue, ids, limit)
            return sum(self._drop(queue, chosen))
        self._directory.on_queue(queue, "purge_queue")
        self._receipts.purge(queue)
        return total

    def purged(self, queue: str) -> None:
        """PurgeQueue has noted it."""
        self._directory.url(queue)

    # ---- moves ------------------------------------------------------------------------------
    def start_move(
        self, source: str, destination: str | None = None, rate: int | None = None
    ) -> MoveTask:
        """StartMessageMoveTask: AWS moves. It knows where a message came from only if it moved it
        itself, so when just one queue has this dead-letter queue, that is the destination."""
        if rate is not None and not 1 <= rate <= MAX_MOVE_RATE:
            raise LimitExceeded(f"the rate is {rate} a second; 1 to {MAX_MOVE_RATE} are allowed")
        for name in (source, destination):
            if name is not None:
                self._directory.url(name)
        if destination is not None and is_fifo(destination) != is_fifo(source):
            raise LimitExceeded("both queues must be FIFO queues, or both standard queues")
        params: dict[str, Any] = {"SourceArn": self._directory.queue_arn(source)}
        to = destination or self._only_source(source)
        if to is not None:
            params["DestinationArn"] = self._directory.queue_arn(to)
        if rate is not None:
            params["MaxNumberOfMessagesPerSecond"] = rate
        try:
            self._directory.api.call("sqs", "start_message_move_task", source, **params)
        except LimitExceeded as error:
            if "Dead Letter" in str(error):
                raise LimitExceeded(f"{source!r} is no queue's dead-letter queue") from None
            if "already a task running" in str(error):
                raise LimitExceeded(f"a move out of {source!r} is running already") from None
            raise
        self._moving.add(source)
        return self.moves(source)[0]

    def _only_source(self, queue: str) -> str | None:
        answer = self._directory.on_queue(queue, "list_dead_letter_source_queues")
        names = [url.rpartition("/")[2] for url in answer.get("queueUrls") or ()]
        ours = [name.removeprefix(self._directory.prefix) for name in names]
        return ours[0] if len(ours) == 1 else None

    def cancel_move(self, handle: str) -> MoveTask:
        try:
            self._directory.api.call("sqs", "cancel_message_move_task", TaskHandle=handle)
        except LimitExceeded as error:
            raise MoveTaskNotFound(f"no running move of the handle {handle!r}") from error
        for source in self._moving:
            for task in self.moves(source):
                if task.status == "CANCELLED":
                    return task
        raise MoveTaskNotFound(f"the move {handle!r} is cancelled; this process did not start it")

    def moves(self, source: str | None = None) -> list[MoveTask]:
        """AWS lists the last ten of a queue; without one, of the queues that this process has
        begun to move."""
        if source is None:
            found = [task for name in self._moving for task in self.moves(name)]
            return sorted(found, key=lambda task: -task.started_at)
        self._directory.url(source)
        answer = self._directory.api.call(
            "sqs",
            "list_message_move_tasks",
            source,
            SourceArn=self._directory.queue_arn(source),
            MaxResults=MOVES_LISTED,
        )
        return [self._read_task(source, one) for one in answer.get("Results") or ()]

    def _read_task(self, source: str, given: dict[str, Any]) -> MoveTask:
        arn = given.get("DestinationArn")
        return MoveTask(
            given.get("TaskHandle", ""),
            source,
            (self._directory.queue_of(arn) or arn) if arn else None,
            given.get("MaxNumberOfMessagesPerSecond"),
            _STATUS.get(given["Status"], given["Status"]),
            given.get("ApproximateNumberOfMessagesMoved", 0),
            given.get("ApproximateNumberOfMessagesToMove", 0),
            given.get("StartedTimestamp", 0) / 1000,
            given.get("FailureReason"),
        )

    def step_moves(self, limit: int = 100) -> bool:
        """AWS moves by itself; whether a task of this process is running still."""
        return any(task.status == "RUNNING" for task in self.moves())
