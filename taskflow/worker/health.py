"""Whether a process is alive and ready, as a file that keeps being written; and what it uses."""

import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path

Problems = Callable[[], tuple[list[str], list[str]]]
"""Why not alive, and why not ready (which includes the former); empty lists when it is."""


def write_heartbeat(path: Path, problems: Problems, now: float) -> None:
    """Write the state of this process, whole or not at all. `at` is in epoch seconds."""
    dead, unready = problems()
    text = json.dumps({"at": now, "live": not dead, "ready": not unready, "reasons": unready})
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(text)
    temporary.replace(path)


def read_heartbeat(path: Path, now: float, stale_after: float) -> tuple[list[str], list[str]]:
    """The problems in a heartbeat file; one that is missing or too old is dead."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return ["no heartbeat yet"], ["no heartbeat yet"]
    if found["at"] + stale_after < now:
        late = [f"no heartbeat for {now - found['at']:.0f} s"]
        return late, late
    return ([] if found["live"] else found["reasons"]), found["reasons"]


def processor_seconds() -> float:
    """The processor time that this process has used, all its threads together."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_memory() -> int:
    """The most memory this process has had resident, in bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
