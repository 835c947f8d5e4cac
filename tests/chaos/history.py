"""Histories: what processes say of themselves, so written that a SIGKILL loses no fact.

One file per process and one JSON line per fact, handed to the kernel by a single write: once
`note` has returned, the fact outlives the process. A line cut short is no fact.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from taskflow.clock import SystemClock

Fact = dict[str, Any]
clock = SystemClock()


class History:
    """The history of one process. Thread-safe; `who` names the process and no other."""

    def __init__(self, folder: Path, who: str) -> None:
        self.who = who
        path = folder / f"{who}.jsonl"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def note(self, fact: str, **details: Any) -> None:
        """Append one fact with the time and this process's name."""
        line = {"fact": fact, "at": clock.now(), "who": self.who, **details}
        text = json.dumps(line, separators=(",", ":")) + "\n"
        written = os.write(self._file, text.encode())
        if written != len(text):
            raise OSError(f"{self.who}: {written} of {len(text)} bytes of a fact were written")

    def close(self) -> None:
        os.close(self._file)


def read(folder: Path, pattern: str = "*.jsonl") -> Iterator[Fact]:
    """All facts of all processes; in order within each process only."""
    for path in sorted(folder.glob(pattern)):
        with path.open() as lines:
            for line in lines:
                if line.endswith("\n"):
                    yield json.loads(line)
