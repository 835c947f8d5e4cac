"""What every peer's handler does: wait if asked to, and note when it ran.

Each process notes its runs in a file of its own that is mapped into its memory: no system call,
so no thread gives up the interpreter for it, and nothing is lost when the process is killed.
"""

import asyncio
import itertools
import mmap
import os
import struct
import threading
import time
from pathlib import Path
from typing import NamedTuple

VARIABLE = "BENCH_RECORDS"
_LAYOUT = struct.Struct("<qddd")
_ROOM = 200_000  # runs of one process
_never = threading.Event()


class Record(NamedTuple):
    """One run of a handler. Times in seconds on the monotonic clock, which processes share."""

    number: int
    sent: float
    started: float
    ended: float


class Notes:
    """The runs of this process."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._open()
        os.register_at_fork(after_in_child=self._open)

    def _open(self) -> None:
        file = os.open(f"{self._folder}/{os.getpid()}", os.O_RDWR | os.O_CREAT, 0o644)
        os.ftruncate(file, _ROOM * _LAYOUT.size)
        self._memory = mmap.mmap(file, 0)
        os.close(file)
        self._places = itertools.count(0, _LAYOUT.size)

    def add(self, number: int, sent: float, started: float, ended: float) -> None:
        _LAYOUT.pack_into(self._memory, next(self._places), number, sent, started, ended)


_notes = Notes(os.environ[VARIABLE]) if VARIABLE in os.environ else None


def work(number: int, sent: float, seconds: float) -> int:
    """The handler of threads: `seconds` of waiting, as for a network; 0 is a no-op. Its result, for
    those who keep one, is its number."""
    assert _notes
    started = ended = time.monotonic()
    if seconds:
        _never.wait(seconds)
        ended = time.monotonic()
    _notes.add(number, sent, started, ended)
    return number


async def work_async(number: int, sent: float, seconds: float) -> int:
    """The handler of event loops, for peers that are made for them."""
    assert _notes
    started = ended = time.monotonic()
    if seconds:
        await asyncio.sleep(seconds)  # noqa: TID251 - the work itself is to wait
        ended = time.monotonic()
    _notes.add(number, sent, started, ended)
    return number


class Records:
    """The runs of all processes, read from outside while they are being noted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[Path, list[Record]] = {}

    def count(self) -> int:
        """How many runs were noted so far."""
        for path in self._folder.iterdir():
            self._read_on(path, self._seen.setdefault(path, []))
        return sum(map(len, self._seen.values()))

    def all(self) -> list[Record]:
        """All runs seen by the last `count`; read anew, since one that was just being written when
        it was counted may have had the end of its record, and not yet its number."""
        runs: list[Record] = []
        for path, seen in self._seen.items():
            with path.open("rb") as file:
                block = file.read(len(seen) * _LAYOUT.size)
            runs += map(Record._make, _LAYOUT.iter_unpack(block))
        return runs

    def _read_on(self, path: Path, seen: list[Record]) -> None:
        with path.open("rb") as file:
            file.seek(len(seen) * _LAYOUT.size)
            while len(block := file.read(_LAYOUT.size)) == _LAYOUT.size:
                record = Record(*_LAYOUT.unpack(block))
                if not record.ended:
                    return
                seen.append(record)
