"""Log records as JSON, one object a line."""

import json
import logging

from taskflow.clock import rfc3339
from taskflow.telemetry.run_fields import FIELDS, NONE

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """One object for each record: `time` (RFC 3339), `level`, `logger`, `message`, what `RunFields`
    has to say, all `extra`, and `exception` with its traceback. ASCII alone, so that no text can
    end its line or move a cursor. What cannot be JSON is written as its `str`."""

    def format(self, record: logging.LogRecord) -> str:
        """As of logging; never raises for what a record holds."""
        found: dict[str, object] = {
            "time": rfc3339(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in vars(record).items():
            if name not in _OWN and not (name in FIELDS and value == NONE):
                found.setdefault(name, value)
        if record.exc_info:
            found["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            found["stack"] = record.stack_info
        try:
            return json.dumps(found, default=_text, allow_nan=False)
        except (TypeError, ValueError, RecursionError):  # a key that is no text, a cycle, NaN
            return json.dumps({name: _plain(value) for name, value in found.items()})


def _plain(value: object) -> object:
    return value if isinstance(value, str | bool | int) else _text(value)


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception as error:
        return f"{type(value).__name__} without text: {type(error).__name__}"
