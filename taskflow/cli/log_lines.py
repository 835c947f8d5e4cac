"""How commands log: to stderr, as text or as JSON."""

import logging
import sys
from typing import Any

from taskflow.telemetry.json_lines import JsonLines
from taskflow.telemetry.run_fields import NONE, RunFields
from taskflow.text import printable

_OURS = "taskflow.worker"  # whose lines say themselves which run they are about


class TextLines(logging.Formatter):
    """One record, one line (but for tracebacks), whatever is in its text; those of a run end with
    its event, attempt and trace."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """As of logging."""
        fields = vars(record)
        names = ("trace_id",) if record.name == _OURS else ("event", "attempt", "trace_id")
        said = [f"{name}={fields[name]}" for name in names if fields.get(name, NONE) != NONE]
        return printable(" ".join([super().formatMessage(record), *said]))

    def formatException(self, ei: Any) -> str:
        """As of logging; what an exception says may move no cursor."""
        return printable(super().formatException(ei), lines=True)


def log_handler(style: str) -> logging.Handler:
    """To stderr, in the style `text` or `json`; each line of a run says which run."""
    handler = logging.StreamHandler(sys.stderr)
    text = TextLines("%(asctime)s %(levelname)s %(name)s %(message)s")
    handler.setFormatter(JsonLines() if style == "json" else text)
    handler.addFilter(RunFields())
    return handler


def log_flags() -> list[str]:
    """What makes another `taskflow` log as this process does."""
    root = logging.getLogger()
    as_json = any(isinstance(one.formatter, JsonLines) for one in root.handlers)
    level = logging.getLevelName(root.level)
    return ["--log-level", level, "--log-format", "json" if as_json else "text"]
