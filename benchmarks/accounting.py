"""CPU time and memory of process trees, from /proc (Linux)."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name; none when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def tree(roots: Iterable[int]) -> set[int]:
    """The processes and all their descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: set[int] = set()
    left = list(roots)
    while left:
        pid = left.pop()
        if pid not in found:
            found.add(pid)
            left += children.get(pid, [])
    return found


def cpu_seconds(roots: Iterable[int]) -> float:
    """User and system time so far of the trees, children that have ended among them."""
    ticks = 0
    for pid in tree(roots):
        if fields := _stat(pid):
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / _TICKS


def clock(pid: int) -> float:
    """CPU time so far of one process, by the kernel's clock of it: finer than the 10 ms of /proc.

    Children that have ended are not in it. Raises OSError when the process is gone.
    """
    return time.clock_gettime((~pid << 3) | 2)


def peak_memory(roots: Iterable[int]) -> float:
    """The sum of every living process's highest resident size, in MB."""
    return _sum(roots, "status", "VmHWM:")


def memory(roots: Iterable[int]) -> tuple[float, float]:
    """Resident size now in MB: summed over processes, and with shared pages counted once."""
    pids = list(roots)
    return _sum(pids, "smaps_rollup", "Rss:"), _sum(pids, "smaps_rollup", "Pss:")


def _sum(roots: Iterable[int], file: str, label: str) -> float:
    kilobytes = 0
    for pid in tree(roots):
        try:
            lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith(label))
    return kilobytes / 1024
