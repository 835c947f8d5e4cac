"""What all batch operations of SQS and SNS have in common: ten entries, told apart by their ids."""

import re
from collections.abc import Sequence
from typing import Any

from taskflow.wire.error_codes import WireError, service_error

MAX_ENTRIES = 10

_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")


def check_batch(
    entries: Sequence[dict[str, Any]], service: str = "sqs", operation: str = "SendMessageBatch"
) -> list[dict[str, Any]]:
    """The entries of a batch request, or the WireError that refuses all of it."""
    end = "" if service == "sqs" else "Exception"
    if not entries:
        text = f"There should be at least one {operation}RequestEntry in the request."
        if service == "sns":
            text = "The batch request doesn't contain any entries."
        raise service_error(service, f"EmptyBatchRequest{end}", text)
    if len(entries) > MAX_ENTRIES:
        text = f"Maximum number of entries per request are {MAX_ENTRIES}. "
        text += f"You have sent {len(entries)}."
        if service == "sns":
            text = "The batch request contains more entries than permissible."
        raise service_error(service, f"TooManyEntriesInBatchRequest{end}", text)
    ids = [entry["Id"] for entry in entries]
    if not all(map(_ID.fullmatch, ids)):
        text = ""
        if service == "sns":
            bad = next(id for id in ids if not _ID.fullmatch(id))
            wrong = "is too long" if len(bad) > 80 else "contains an impermissible character"
            text = f"The Id of a batch entry in the batch request {wrong}: {bad}"
        raise service_error(service, f"InvalidBatchEntryId{end}", text)
    if len(set(ids)) < len(ids):
        repeated = next(id for at, id in enumerate(ids) if id in ids[:at])
        text = "Two or more batch entries in the request have the same Id."
        if service == "sqs":
            text = f"Id {repeated} repeated."
        raise service_error(service, f"BatchEntryIdsNotDistinct{end}", text)
    return list(entries)


def failed(id: str, error: WireError) -> dict[str, Any]:
    """An entry of `Failed`."""
    return {
        "Id": id,
        "Code": error.code,
        "Message": error.message,
        "SenderFault": error.sender,
    }
