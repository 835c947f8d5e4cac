"""The SQS actions that send: SendMessage, SendMessageBatch.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
"""

from collections.abc import Mapping, Sequence
from typing import Any

from taskflow.broker import QueueSettings
from taskflow.broker.settings import Sent
from taskflow.errors import LimitExceeded
from taskflow.limits import FORBIDDEN, MAX_MESSAGE_BYTES, check_group, is_fifo
from taskflow.message import Message, new_id
from taskflow.placing import new_place
from taskflow.server.backend import Backend
from taskflow.server.batches import check_batch, failed
from taskflow.server.coalescer import Coalescer
from taskflow.server.wire_call import Call, Result
from taskflow.wire.error_codes import (
    WireError,
    common_error,
    invalid_value,
    missing_parameter,
    service_error,
)
from taskflow.wire.message_attributes import (
    md5_of_attributes,
    md5_of_body,
    read_sqs_attributes,
)
from taskflow.wire.queue_attributes import MAX_DELAY

_NOT_HERE = "The request include parameter that is not valid for this queue type."
_GROUP_RULE = "can only include alphanumeric and punctuation characters. 1 to 128 in length."
_NO_DEDUPLICATION = (
    "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId "
    "provided explicitly"
)


class SendActions:
    """One method per operation."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._broker = backend.broker
        self._sends = Coalescer[Message, Sent](backend.send)

    async def send_message(self, call: Call) -> Result:
        queue = self._backend.queue_of(call)
        settings = await self._backend.run_short(self._broker.settings, queue)
        message = self._read(call.params, call, queue, settings)
        (sent,) = await self._sends.do(queue, [message])
        return _answer(message, sent, queue)

    async def send_message_batch(self, call: Call) -> Result:
        queue = self._backend.queue_of(call)
        settings = await self._backend.run_short(self._broker.settings, queue)
        entries = check_batch(call.params["Entries"])
        if is_fifo(queue):
            _check_fifo_batch(entries, settings)
        total = sum(map(_size, entries))
        if total > MAX_MESSAGE_BYTES:
            raise _too_long(total)
        messages: dict[str, Message] = {}
        refused: list[dict[str, Any]] = []
        for entry in entries:
            try:
                messages[entry["Id"]] = self._read(entry, call, queue, settings)
            except WireError as error:
                refused.append(failed(entry["Id"], _in_batch(error)))
        sent = await self._sends.do(queue, list(messages.values())) if messages else []
        return {
            "Successful": [
                {"Id": id, **_answer(message, one, queue)}
                for (id, message), one in zip(messages.items(), sent, strict=True)
            ],
            "Failed": refused or None,
        }

    def _read(
        self, given: Mapping[str, Any], call: Call, queue: str, settings: QueueSettings
    ) -> Message:
        """A message as the broker takes it, or WireError in SQS's words."""
        body = given.get("MessageBody", "")
        if not body:
            raise missing_parameter("MessageBody")
        group, deduplication = self._read_fifo(given, queue, settings)
        try:
            message = Message(
                new_id(call.now, self._broker.random, new_place(self._broker)),
                body,
                read_sqs_attributes(given.get("MessageAttributes")),
                _read_delay(given, queue, settings),
                group,
                deduplication,
                _read_trace(given) or call.trace or None,
                call.caller.access_key_id or call.account,
            )
        except LimitExceeded:
            if FORBIDDEN.search(body):
                text = "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | "
                text += "#x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"
                raise service_error("sqs", "InvalidMessageContents", text) from None
            raise _too_large(settings) from None
        if message.size > settings.max_message_bytes:
            raise _too_large(settings)
        return message

    @staticmethod
    def _read_fifo(
        given: Mapping[str, Any], queue: str, settings: QueueSettings
    ) -> tuple[str | None, str | None]:
        found = []
        for name in ("MessageGroupId", "MessageDeduplicationId"):
            text = given.get(name)
            if text is not None:
                try:
                    check_group(name, text)
                except LimitExceeded:
                    raise invalid_value(text, name, f"{name} {_GROUP_RULE}") from None
            found.append(text)
        group, deduplication = found
        if not is_fifo(queue):
            if deduplication is not None:
                raise invalid_value(deduplication, "MessageDeduplicationId", _NOT_HERE)
        elif group is None:
            raise missing_parameter("MessageGroupId")
        elif deduplication is None and not settings.content_based_deduplication:
            raise common_error("InvalidParameterValue", _NO_DEDUPLICATION)
        return group, deduplication


def _check_fifo_batch(entries: Sequence[Mapping[str, Any]], settings: QueueSettings) -> None:
    """AWS refuses all of a batch for what it could refuse one entry for."""
    if not all("MessageGroupId" in entry for entry in entries):
        text = "The request must contain the parameter MessageGroupId."
        raise common_error("InvalidParameterValue", text)
    named = all("MessageDeduplicationId" in entry for entry in entries)
    if not named and not settings.content_based_deduplication:
        raise common_error("InvalidParameterValue", _NO_DEDUPLICATION)


def _size(given: Mapping[str, Any]) -> int:
    """What a message counts in its batch, be it a good one or not."""
    size = len(given.get("MessageBody", "").encode())
    for name, value in given.get("MessageAttributes", {}).items():
        content = value.get("BinaryValue") or value.get("StringValue", "").encode()
        size += len(name.encode()) + len(value.get("DataType", "").encode()) + len(content)
    return size


def _read_delay(given: Mapping[str, Any], queue: str, settings: QueueSettings) -> float | None:
    delay: int | None = given.get("DelaySeconds")
    if delay is None:
        return None
    if is_fifo(queue):
        if delay:
            raise invalid_value(delay, "DelaySeconds", _NOT_HERE)
        return None
    if not 0 <= delay <= MAX_DELAY:
        reason = f"DelaySeconds must be >= 0 and <= {MAX_DELAY}."
        raise invalid_value(delay, "DelaySeconds", reason)
    if delay and delay >= settings.retention:
        reason = f"The queue drops messages after {settings.retention:.0f} seconds."
        raise invalid_value(delay, "DelaySeconds", reason)
    return float(delay)


def _read_trace(given: Mapping[str, Any]) -> str | None:
    """AWSTraceHeader, the only system attribute that a client may send."""
    trace: str | None = None
    for name, value in given.get("MessageSystemAttributes", {}).items():
        if name != "AWSTraceHeader":
            raise invalid_value(name, "MessageSystemAttributeName", "Must be AWSTraceHeader.")
        trace = value.get("StringValue")
        if value.get("DataType") != "String" or not trace:
            text = "The message system attribute 'AWSTraceHeader' must be a non-empty String."
            raise common_error("InvalidParameterValue", text)
    return trace


def _too_large(settings: QueueSettings) -> WireError:
    return common_error(
        "InvalidParameterValue",
        "One or more parameters are invalid. Reason: Message must be shorter than "
        f"{settings.max_message_bytes} bytes.",
    )


def _in_batch(error: WireError) -> WireError:
    """SQS says it in other words there."""
    said = error.message.replace("are invalid.", "cannot be validated.")
    return WireError(error.code, said, shape=error.shape, status=error.status)


def _too_long(total: int) -> WireError:
    return service_error(
        "sqs",
        "BatchRequestTooLong",
        f"Batch requests cannot be longer than {MAX_MESSAGE_BYTES} bytes. "
        f"You have sent {total} bytes.",
    )


def _answer(message: Message, sent: Sent, queue: str) -> dict[str, Any]:
    trace = {} if message.trace is None else {"AWSTraceHeader": message.trace}
    return {
        "MessageId": sent.id,
        "MD5OfMessageBody": md5_of_body(message.body),
        "MD5OfMessageAttributes": md5_of_attributes(message.attributes) or None,
        "MD5OfMessageSystemAttributes": md5_of_attributes(trace) or None,
        "SequenceNumber": f"{sent.sequence:020d}" if is_fifo(queue) else None,
    }
