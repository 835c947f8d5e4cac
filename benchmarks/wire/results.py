"""What a run found, of servers in place of peers."""

import os
import platform
import subprocess
from collections.abc import Iterable

from benchmarks.results import Results
from benchmarks.wire.servers import BY_NAME, Kind

_ASK = """
import sys
from importlib.metadata import PackageNotFoundError, version
for name in sys.argv[1:]:
    try:
        print(version(name))
    except PackageNotFoundError:
        print("not installed")
"""


class WireResults(Results):
    """Samples of servers."""

    def peers(self, workload: str) -> list[str]:
        seen = {one["peer"] for one in self.samples if one["workload"] == workload}
        return [name for name in BY_NAME if name in seen]


def describe(kinds: Iterable[Kind]) -> dict[str, str]:
    """Processors, memory, system and every version that matters; no names, no paths."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    found = {
        "processors": str(os.cpu_count()),
        "memory": f"{pages / 2**30:.0f} GB",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
    for kind in kinds:
        python = kind.folder / "python"
        asked = subprocess.run(
            [python, "-c", _ASK, *kind.libraries],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        found |= dict(zip(kind.libraries, asked.stdout.split("\n"), strict=False))
    return found
