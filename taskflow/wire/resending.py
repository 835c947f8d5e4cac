"""A dead letter as it is sent anew: with what was edited, another id, and where it came from."""

from collections.abc import Mapping
from typing import Any

import msgspec

from taskflow.message import CAUSED_BY, FAILURE, Attributes, Delivery, Message


def edited(
    letter: Delivery,
    id: str,
    *,
    body: str | None = None,
    attributes: Attributes | None = None,
) -> Message:
    """The message to send in place of a letter (`Inspection.resend`): body and attributes are the
    letter's where none are given. An envelope in the body (CloudEvents) has the new id too. It has
    no failure record, and the letter's id as its attribute CAUSED_BY. Raises LimitExceeded for what
    is no message."""
    kept = dict(letter.attributes if attributes is None else attributes)
    kept.pop(FAILURE, None)
    kept[CAUSED_BY] = letter.id
    return Message(
        id,
        _under(id, letter.body if body is None else body),
        kept,
        group=letter.group,
        deduplication_id=None if letter.deduplication_id is None else id,
        trace=letter.trace,
        sender=letter.sender,
        subject=letter.subject,
        run=letter.run,
        expires_at=letter.expires_at,
        priority=letter.priority,
        headers=letter.headers,
        slot=letter.slot,
    )


def _under(id: str, body: str) -> str:
    """The body, with the id in its envelope, if it has one."""
    try:
        found: Any = msgspec.json.decode(body, type=Mapping[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return body
    if "specversion" not in found or "id" not in found:
        return body
    found["id"] = msgspec.Raw(msgspec.json.encode(id))
    return msgspec.json.encode(found).decode()
