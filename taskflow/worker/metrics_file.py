"""The metrics of a supervised process as a file, and the files of all as one page."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from taskflow.telemetry.exposition import merge
from taskflow.telemetry.family import Family


class Written(msgspec.Struct, frozen=True):
    """What a process wrote, and when (epoch seconds)."""

    at: float
    families: Sequence[Family]


def write_metrics(path: Path, families: Sequence[Family], now: float) -> None:
    """Write the file, whole or not at all."""
    temporary = path.with_name(path.name + ".new")
    temporary.write_bytes(msgspec.json.encode(Written(now, families)))
    temporary.replace(path)


def read_metrics(paths: Iterable[Path], now: float, stale_after: float) -> list[Family]:
    """The families of these processes, `0` being the first one. One that has not written yet, or
    for so long (seconds) that it is dead, is left out."""
    found: dict[str, Sequence[Family]] = {}
    for process, path in enumerate(paths):
        try:
            written = msgspec.json.decode(path.read_bytes(), type=Written)
        except (OSError, msgspec.DecodeError):
            continue
        if written.at + stale_after >= now:
            found[str(process)] = written.families
    return merge(found)
