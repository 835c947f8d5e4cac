"""The SQS actions that settle: DeleteMessage and ChangeMessageVisibility, single and in batches.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessage.html
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html
"""

from collections.abc import Mapping, Sequence
from typing import Any

from taskflow.broker import Finish
from taskflow.broker.settings import Lease
from taskflow.limits import MAX_VISIBILITY, is_fifo
from taskflow.message import NO_ATTRIBUTES, Delivery
from taskflow.server.backend import Backend
from taskflow.server.batches import check_batch, failed
from taskflow.server.coalescer import Coalescer
from taskflow.server.wire_call import Call, Result
from taskflow.wire.error_codes import WireError, invalid_value, service_error


class SettleActions:
    """One method per operation."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._broker = backend.broker
        self._deletes = Coalescer[Finish, bool](self._delete_all)

    # ---- delete -----------------------------------------------------------------------------
    async def delete_message(self, call: Call) -> Result:
        error = (await self._delete(call, [call.params["ReceiptHandle"]]))[0]
        if error is not None:
            raise error
        return None

    async def delete_message_batch(self, call: Call) -> Result:
        entries = check_batch(call.params["Entries"], operation="DeleteMessageBatch")
        handles = [entry["ReceiptHandle"] for entry in entries]
        return _batch_answer(entries, await self._delete(call, handles))

    async def _delete(self, call: Call, handles: Sequence[str]) -> list[WireError | None]:
        queue = self._backend.queue_of(call)
        errors: list[WireError | None] = [
            _no_receipt(handle) if at is None else None
            for handle, at in zip(handles, self._broker.received_at(handles), strict=True)
        ]
        held = [by_receipt(queue, handle) for handle in handles]
        good = [index for index, error in enumerate(errors) if error is None]
        if not good:
            # A queue that is not there is the first thing to say.
            await self._backend.run_short(self._broker.settings, queue)
        answers = await self._deletes.do(queue, [Finish(held[index]) for index in good])
        if is_fifo(queue):
            for index, gone in zip(good, answers, strict=True):
                if gone:
                    continue
                if (await self._backend.run_short(self._broker.leases, [held[index]]))[0] != "gone":
                    reason = "The receipt handle has expired."
                    errors[index] = invalid_value(handles[index], "ReceiptHandle", reason)
        return errors

    async def _delete_all(self, queue: str, entries: Sequence[Finish]) -> Sequence[bool]:
        return await self._backend.run_short(self._broker.delete, entries, fence=False)

    # ---- visibility -------------------------------------------------------------------------
    async def change_message_visibility(self, call: Call) -> Result:
        entry = {"Id": "-", **call.params}
        error = (await self._change(call, [entry]))[0]
        if error is not None:
            raise error
        return None

    async def change_message_visibility_batch(self, call: Call) -> Result:
        entries = check_batch(call.params["Entries"], operation="ChangeMessageVisibilityBatch")
        return _batch_answer(entries, await self._change(call, entries))

    async def _change(
        self, call: Call, entries: Sequence[Mapping[str, Any]]
    ) -> list[WireError | None]:
        queue = self._backend.queue_of(call)
        return await self._backend.run_short(self._change_now, queue, call.now, entries)

    def _change_now(
        self, queue: str, now: float, entries: Sequence[Mapping[str, Any]]
    ) -> list[WireError | None]:
        self._broker.settings(queue)
        times = self._broker.received_at([entry["ReceiptHandle"] for entry in entries])
        errors = [_check_change(entry, at, now) for entry, at in zip(entries, times, strict=True)]
        good = [index for index, error in enumerate(errors) if error is None]
        held = [by_receipt(queue, entries[index]["ReceiptHandle"]) for index in good]
        states = self._broker.leases(held)
        hidden = [float(entries[index].get("VisibilityTimeout", 0)) for index in good]
        answers = self._broker.change_visibility(list(zip(held, hidden, strict=True)), fence=False)
        for index, state, changed in zip(good, states, answers, strict=True):
            # Visible again, a message of a standard queue stays as it is, and that is no error.
            if not changed and (state == "gone" or is_fifo(queue)):
                errors[index] = _notheld(entries[index]["ReceiptHandle"], state)
        return errors


def check_visibility(seconds: int) -> None:
    """Raise WireError for a timeout that no message may have."""
    most = int(MAX_VISIBILITY)
    if not 0 <= seconds <= most:
        reason = f"VisibilityTimeout must be an integer between 0 and {most}."
        raise invalid_value(seconds, "VisibilityTimeout", reason)


def _no_receipt(handle: str) -> WireError:
    text = f'The input receipt handle "{handle}" is not a valid receipt handle.'
    return service_error("sqs", "ReceiptHandleIsInvalid", text)


def _check_change(
    entry: Mapping[str, Any], received_at: float | None, now: float
) -> WireError | None:
    if received_at is None:
        return _no_receipt(entry["ReceiptHandle"])
    seconds = entry.get("VisibilityTimeout", 0)
    try:
        check_visibility(seconds)
    except WireError as error:
        return error
    if int(now - received_at) + seconds > MAX_VISIBILITY:
        most = int(MAX_VISIBILITY)
        reason = f"Total VisibilityTimeout for the message is beyond the limit [{most} seconds]"
        return invalid_value(seconds, "VisibilityTimeout", reason)
    return None


def _notheld(handle: str, state: Lease) -> WireError:
    if state == "lapsed":
        return service_error("sqs", "MessageNotInflight")
    reason = "Message does not exist or is not available for visibility timeout change."
    return invalid_value(handle, "ReceiptHandle", reason)


def by_receipt(queue: str, handle: str) -> Delivery:
    """A delivery by its receipt, which is all that settling asks for."""
    return Delivery("", "", "", NO_ATTRIBUTES, queue, handle, 0, 0.0, 0.0, 0.0)


def _batch_answer(
    entries: Sequence[Mapping[str, Any]], errors: Sequence[WireError | None]
) -> Result:
    pairs = list(zip(entries, errors, strict=True))
    return {
        "Successful": [{"Id": entry["Id"]} for entry, error in pairs if error is None],
        "Failed": [failed(entry["Id"], error) for entry, error in pairs if error] or None,
    }
