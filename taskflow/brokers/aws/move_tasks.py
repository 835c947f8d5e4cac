"""MoveTasks: AWS's own moves of messages out of dead-letter queues.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
"""

from typing import Any

from taskflow.broker.settings import MoveTask
from taskflow.brokers.aws.directory import Directory
from taskflow.errors import LimitExceeded, MoveTaskNotFound
from taskflow.limits import MAX_MOVE_RATE, is_fifo

MOVES_LISTED = 10
_STATUS: dict[str, Any] = {"CANCELLING": "CANCELLED"}


class MoveTasks:
    """Thread-safe. The contract of its verbs stands in `taskflow.broker.Broker`."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._moving: dict[str, None] = {}  # queues that this process has begun to empty

    def start(
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
        self._moving[source] = None
        return self.list_all(source)[0]

    def _only_source(self, queue: str) -> str | None:
        answer = self._directory.on_queue(queue, "list_dead_letter_source_queues")
        names = [url.rpartition("/")[2] for url in answer.get("queueUrls") or ()]
        ours = [name.removeprefix(self._directory.prefix) for name in names]
        return ours[0] if len(ours) == 1 else None

    def cancel(self, handle: str) -> MoveTask:
        try:
            self._directory.api.call("sqs", "cancel_message_move_task", TaskHandle=handle)
        except LimitExceeded as error:
            raise MoveTaskNotFound(f"no running move of the handle {handle!r}") from error
        for source in list(self._moving):
            for task in self.list_all(source):
                if task.status == "CANCELLED":
                    return task
        raise MoveTaskNotFound(f"the move {handle!r} is cancelled; this process did not start it")

    def list_all(self, source: str | None = None) -> list[MoveTask]:
        """AWS lists the last ten of a queue; without one, of the queues that this process has
        begun to move."""
        if source is None:
            found = [task for name in list(self._moving) for task in self.list_all(name)]
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

    def step(self, limit: int = 100) -> bool:
        """AWS moves by itself; whether a task of this process is running still."""
        return any(task.status == "RUNNING" for task in self.list_all())
