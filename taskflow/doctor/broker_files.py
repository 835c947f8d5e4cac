"""Looking at a broker's files, the disk they are on, and the settings of this process."""

import os
import shutil
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from taskflow.config import KNOWN
from taskflow.doctor.facts import FileFacts

MOUNTS = Path("/proc/self/mounts")
_START = "TASKFLOW_"


def look_at_file(path: Path) -> FileFacts:
    """What is to be said of a broker's file, whether or not it is there."""
    real = Path(os.path.realpath(path))
    folder = next((one for one in real.parents if one.exists()), Path("/"))
    usage = shutil.disk_usage(folder)
    mounts = MOUNTS.read_text(errors="replace") if MOUNTS.exists() else ""
    exists = real.exists()
    return FileFacts(
        path=str(path),
        exists=exists,
        filesystem=filesystem_of(real, mounts),
        mode=stat.S_IMODE(real.stat().st_mode) if exists else None,
        writable=os.access(real, os.W_OK) if exists else True,
        folder_writable=os.access(folder, os.W_OK),
        journal_bytes=_size(Path(f"{real}-journal")),
        wal_bytes=_size(Path(f"{real}-wal")),
        disk_free=usage.free,
        disk_total=usage.total,
    )


def filesystem_of(path: Path, mounts: str) -> str:
    """The kind of file system a path is on, by what /proc/mounts says; empty where that is not
    known. Of several mounts on one place the last one holds."""
    best, kind = -1, ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        place = fields[1].encode().decode("unicode_escape")  # a space is \040
        if path.is_relative_to(place) and len(place) >= best:
            best, kind = len(place), fields[2]
    return kind


def unread_variables(environment: Iterable[str]) -> Sequence[str]:
    """Variables that look like settings of ours, and are none."""
    known = {f"{_START}{name.upper()}" for name in KNOWN}
    return sorted(name for name in environment if name.startswith(_START) and name not in known)


def files_of(leader: Path) -> Sequence[Path]:
    """The files of a broker: the one in its address, and those beside it that it is made of."""
    others = leader.parent.glob(f"{leader.name}.shard*")
    return [leader, *sorted(one for one in others if one.name.rpartition(".shard")[2].isdigit())]


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
