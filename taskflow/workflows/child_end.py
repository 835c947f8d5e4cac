"""How a child run ended, as the step that waited for it keeps it."""

from collections.abc import Sequence
from typing import Any

import msgspec

from taskflow import payload as json
from taskflow.tasks.run import NULL, Row, RunError, State

MOST_KEPT = 65_536
"""Bytes that a step keeps of how its child runs ended; more is read from their records each time
that the code comes by."""


class ChildEnd(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """What of an ended run the code of its caller sees; `result` is JSON."""

    state: State
    result: msgspec.Raw = NULL
    error: RunError | None = None

    def value(self, returns: Any) -> Any:
        """What the run returned, as its annotated type."""
        return json.decoder(returns)(self.result)

    def outcome(self, returns: Any) -> dict[str, Any]:
        """How it ended, as groups have it with errors="collect"."""
        value = self.value(returns) if self.state == "done" else None
        return {"state": self.state, "value": value, "error": self.error}


def end_of(row: Row) -> ChildEnd:
    """Of a run that has ended."""
    return ChildEnd(row.state, row.run.result, row.run.error)


def write_ends(ends: Sequence[ChildEnd]) -> msgspec.Raw:
    """As a step keeps them; null for more than it keeps."""
    written = msgspec.json.encode(ends)
    return msgspec.Raw(written) if len(written) <= MOST_KEPT else NULL


read_ends = json.reader(list[ChildEnd], "what child runs did")
