"""The SQS actions that move messages out of dead-letter queues, and the loop that does it."""

import asyncio
import json
import logging
from typing import Any

from taskflow.broker.settings import MoveTask
from taskflow.errors import BrokerError, LimitExceeded, MoveTaskNotFound, QueueNotFound
from taskflow.limits import MAX_MOVE_RATE, is_fifo
from taskflow.server.backend import Backend
from taskflow.server.paging import read_token, write_token
from taskflow.server.wire_call import Call, Result
from taskflow.wire.error_codes import WireError, common_error, invalid_value, service_error

log = logging.getLogger("taskflow.server")

MAX_MOVES_LISTED = 10
STEP = 0.1  # seconds between two steps of a running task
CHUNK = 500


class MoveActions:
    """One method per operation, and `run`, which moves while the server lives."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._broker = backend.broker
        self._moved = asyncio.Event()
        self._moved.set()  # a task may be left over from the last run of the server

    async def run(self) -> None:
        """Carry running tasks on, a step at a time, until cancelled."""
        while True:
            await self._moved.wait()
            self._moved.clear()  # before looking: what is started meanwhile sets it again
            try:
                running = await self._backend.run(self._broker.step_moves, CHUNK)
            except BrokerError as error:
                log.error("moving messages failed, will try again: %s", error)
                running = True
            if running:
                self._moved.set()
                await self._backend.waiting.pause(STEP)

    async def start_message_move_task(self, call: Call) -> Result:
        rate = call.params.get("MaxNumberOfMessagesPerSecond")
        if rate is not None and not 1 <= rate <= MAX_MOVE_RATE:
            reason = f"Must be between 1 and {MAX_MOVE_RATE}, if provided."
            raise invalid_value(rate, "MaxNumberOfMessagesPerSecond", reason)
        source = await self._existing("SourceArn", call.params["SourceArn"])
        destination = None
        if "DestinationArn" in call.params:
            destination = await self._existing("DestinationArn", call.params["DestinationArn"])
            if is_fifo(destination) != is_fifo(source):
                text = "Source and destination must both be FIFO queues, or both standard queues."
                raise common_error("InvalidParameterValue", text)
        try:
            task = await self._backend.run(self._broker.start_move, source, destination, rate)
        except LimitExceeded:
            tasks = await self._backend.run(self._broker.moves, source)
            text = "Source queue must be configured as a Dead Letter Queue."
            if any(task.status == "RUNNING" for task in tasks):
                text = (
                    "There is already a task running. Only one active task is allowed for a source "
                    "queue arn at a given time."
                )
            raise common_error("InvalidParameterValue", text) from None
        self._moved.set()
        return {"TaskHandle": self._handle(task)}

    async def _existing(self, parameter: str, arn: str) -> str:
        try:
            queue = self._backend.queue_of_arn(arn)
            await self._backend.run(self._broker.settings, queue)
        except (QueueNotFound, WireError):
            raise service_error(
                "sqs",
                "ResourceNotFoundException",
                f"The resource that you specified for the {parameter} parameter doesn't exist.",
            ) from None
        return queue

    async def cancel_message_move_task(self, call: Call) -> Result:
        handle, source = read_handle(call.params["TaskHandle"])
        queue = await self._existing("SourceArn", source)
        # The right to cancel was asked for `source`: the task must be one of that queue.
        tasks = await self._backend.run(self._broker.moves, queue)
        if not any(task.handle == handle for task in tasks):
            raise MoveTaskNotFound(f"queue {queue!r} has no move task {handle!r}")
        task = await self._backend.run(self._broker.cancel_move, handle)
        return {"ApproximateNumberOfMessagesMoved": task.moved}

    async def list_message_move_tasks(self, call: Call) -> Result:
        most = call.params.get("MaxResults", 1)
        if not 1 <= most <= MAX_MOVES_LISTED:
            reason = f"Must be between 1 and {MAX_MOVES_LISTED}, if provided."
            raise invalid_value(most, "MaxResults", reason)
        source = await self._existing("SourceArn", call.params["SourceArn"])
        tasks = await self._backend.run(self._broker.moves, source)
        return {"Results": [self._show(task) for task in tasks[:most]] or None}

    def _show(self, task: MoveTask) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "Status": task.status,
            "SourceArn": self._backend.arn_of_queue(task.source),
            "MaxNumberOfMessagesPerSecond": task.rate,
            "ApproximateNumberOfMessagesMoved": task.moved,
            "ApproximateNumberOfMessagesToMove": task.total,
            "FailureReason": task.failure,
            "StartedTimestamp": int(task.started_at * 1000),
        }
        if task.destination is not None:
            shown["DestinationArn"] = self._backend.arn_of_queue(task.destination)
        if task.status == "RUNNING":
            shown["TaskHandle"] = self._handle(task)
        return shown

    def _handle(self, task: MoveTask) -> str:
        parts = {"taskId": task.handle, "sourceArn": self._backend.arn_of_queue(task.source)}
        return write_token(json.dumps(parts, separators=(",", ":")))


def read_handle(text: str) -> tuple[str, str]:
    """The task and the ARN of its source queue. Raises WireError for what is no handle."""
    try:
        parts = json.loads(read_token(text))
        handle, source = parts["taskId"], parts["sourceArn"]
    except (WireError, ValueError, LookupError, TypeError, RecursionError):
        handle = source = None
    if not (isinstance(handle, str) and isinstance(source, str)):
        raise common_error("InvalidParameterValue", "Value for parameter TaskHandle is invalid.")
    return handle, source
