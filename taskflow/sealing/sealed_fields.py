"""What is sealed of a message's body, a record and a failure: values, not what things are found
by."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from taskflow.sealing.codec import Codec

Fields: TypeAlias = "Mapping[str | int, Fields | None]"
"""Names of an object, or places in a list; None: that value is sealed, whatever it is."""

_ERROR: Fields = {"message": None, "traceback": None}
_CALL: Fields = {"args": None, "kwargs": None}
RECORDS: Mapping[str, Fields] = {
    "run": {
        **_CALL,
        "result": None,
        "error": _ERROR,
        "place": {"on_error": {2: None, 3: None}},
    },
    "step": {"result": None, "error": _ERROR, "given": None},
    "signal": {"payload": None},
    "progress": {2: None},
    "schedule": {"spec": {**_CALL, "payload": None}},
}
"""By the kind of a record."""
_EVENT: Fields = {"data": None, "data_base64": None}
_SAID: Fields = {**_ERROR, "reason": None}
_UNREAD = {"taskflow.errors.PayloadSealed"}
"""Failures whose reason tells nothing of a payload, and how to mend it."""
_values = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_listed = msgspec.json.Decoder(list[msgspec.Raw]).decode
_write = msgspec.json.Encoder().encode
_RUN = '{"run":'  # a message that names a run holds no values


class _Failure(msgspec.Struct):
    error: str = ""
    message: str = ""
    reason: str = ""


_read_failure = msgspec.json.Decoder(_Failure).decode


def seal_body(codec: Codec, body: str) -> str:
    """The body of an event or of a task's call; any other, which is none of ours, as it is. Raises
    SealFailed."""
    if body.startswith(_RUN):
        return body
    try:
        parts = _values(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return body
    if "specversion" in parts:
        return _seal(codec, body.encode(), _EVENT).decode()
    return _seal(codec, body.encode(), _CALL).decode() if "task" in parts else body


def seal_record(codec: Codec, kind: str, value: str) -> str:
    """The value of a record. Raises SealFailed."""
    fields = RECORDS.get(kind)
    return value if fields is None else _seal(codec, value.encode(), fields).decode()


def seal_failure(codec: Codec, record: str) -> str:
    """The failure record of a dead letter: what the exception said, and the reason where it is
    that. Raises SealFailed."""
    try:
        found = _read_failure(record)
    except (msgspec.MsgspecError, RecursionError):
        return codec.seal(_write(record)).decode()
    if found.error in _UNREAD:
        return record
    repeats = bool(found.message) and found.message in found.reason
    return _seal(codec, record.encode(), _SAID if repeats else _ERROR).decode()


def _seal(codec: Codec, raw: bytes, fields: Fields) -> bytes:
    """JSON in which these fields are sealed, those of them that are there."""
    if raw == b"null":
        return raw
    listed = raw.startswith(b"[")
    made: dict[Any, msgspec.Raw] = dict(enumerate(_listed(raw))) if listed else dict(_values(raw))
    for name, inner in fields.items():
        if name in made:
            part = bytes(made[name])
            sealed = codec.seal(part) if inner is None else _seal(codec, part, inner)
            made[name] = msgspec.Raw(sealed)
    return _write(list(made.values()) if listed else made)
