"""What a message died of, read from its failure record: by this dead letters are counted."""

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from taskflow.later import Later
from taskflow.message import FAILURE

if TYPE_CHECKING:
    import hashlib
else:
    hashlib = Later("hashlib")

_FRAME = re.compile(r'File "([^"]+)", line (\d+)(?:, in (\S+))?')
_FOREIGN = re.compile(
    r"^<|[/\\](site-packages|dist-packages|lib[/\\]python3[.\d]*)[/\\]|[/\\]taskflow[/\\]"
    r"(brokers|celery|tasks|worker|workflows|testing|sealing|payload|event|engine|entry|middleware)\b"
)
_LONGEST = 200  # characters of each part
_UNKNOWN = "it has no failure record"
_UNREADABLE = "its reason cannot be read here"


class FailureCause(NamedTuple):
    """Why a message is a dead letter; the fields are as in `broker.cause.Cause`. `attempts` is None
    where the record does not say."""

    handler: str | None
    error: str | None
    place: str | None
    reason: str
    attempts: int | None

    def name(self, source: str) -> str:
        """The `Cause.id` of what came from this queue."""
        parts = [source, self.handler, self.error, self.place, self.reason]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def read_cause(attributes: str) -> FailureCause:
    """The cause in the attributes of a letter, as they are stored (JSON). Whatever stands there,
    one is answered: anybody may write a failure record."""
    found: Any = None
    with suppress(ValueError, TypeError, KeyError, RecursionError):
        found = json.loads(json.loads(attributes)[FAILURE])
    if not isinstance(found, dict):
        return FailureCause(None, None, None, _UNKNOWN, None)
    handler, error = _text(found.get("handler")), _text(found.get("error"))
    place = _text(found.get("place"))
    if place is None and isinstance(trace := found.get("traceback"), str):
        place = place_of(trace)
    reason = ""  # two that raise the same in the same place died of the same
    if error is None or place is None:
        reason = re.sub(r"\d+", "N", _text(found.get("reason")) or _UNREADABLE)
    attempts = found.get("attempts")
    known = isinstance(attempts, int) and not isinstance(attempts, bool) and 0 <= attempts < 2**31
    return FailureCause(handler, error, place, reason, attempts if known else None)


def place_of(trace: str) -> str | None:
    """The last frame of a traceback (text) that is neither Python's nor an installed package's nor
    ours, else the last one: `shop/orders.py:42 in charge`."""
    frames = _FRAME.findall(trace)
    if not frames:
        return None
    own = [frame for frame in frames if not _FOREIGN.search(frame[0])]
    path, line, function = (own or frames)[-1]
    short = "/".join(re.split(r"[/\\]", path)[-2:])
    return f"{short}:{line}" + (f" in {function}" if function else "")


def _text(value: object) -> str | None:
    if not isinstance(value, str) or not value:
        return None
    line = "".join(one if one.isprintable() else " " for one in value[:_LONGEST])
    return line.strip() or None
