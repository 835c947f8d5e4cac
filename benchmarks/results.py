"""What a run found: samples, their medians and spread, and what they were measured on."""

import contextlib
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.catalog import BY_NAME, PEERS
from benchmarks.stores import StoreMissing, postgres_binaries


@dataclass(frozen=True)
class Spread:
    """The median of the rounds, the lowest and the highest."""

    median: float
    low: float
    high: float


@dataclass
class Results:
    """All samples; a sample is one peer in one workload in one round.

    `runs` says of each workload how many rounds it had and when its run began: a workload is
    always from one run, with all its peers.
    """

    machine: dict[str, str]
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)

    def keep(self, older: "Results") -> None:
        """Take over the workloads that this run left out."""
        missing = older.runs.keys() - self.runs.keys()
        self.runs |= {letter: older.runs[letter] for letter in sorted(missing)}
        self.samples += [one for one in older.samples if one["workload"] in missing]

    def add(self, number: int, workload: str, peer: str, sample: dict[str, Any]) -> None:
        self.samples.append({"round": number, "workload": workload, "peer": peer} | sample)

    def peers(self, workload: str) -> list[str]:
        """Who took part, in the catalog's order."""
        seen = {one["peer"] for one in self.samples if one["workload"] == workload}
        return [name for name in BY_NAME if name in seen]

    @property
    def failed(self) -> bool:
        """Any peer, in any round."""
        return any("failed" in sample for sample in self.samples)

    def failure(self, workload: str, peer: str) -> str | None:
        """Why the peer failed, if it did in any round."""
        for sample in self._of(workload, peer):
            if "failed" in sample:
                return str(sample["failed"])
        return None

    def find(self, workload: str, peer: str, metric: str) -> Spread | None:
        """None when nothing was measured."""
        values = self.by_round(workload, peer, metric).values()
        if not values:
            return None
        return Spread(statistics.median(values), min(values), max(values))

    def by_round(self, workload: str, peer: str, metric: str) -> dict[int, float]:
        """What each round found."""
        return {
            one["round"]: float(one[metric]) for one in self._of(workload, peer) if metric in one
        }

    def _of(self, workload: str, peer: str) -> Iterator[dict[str, Any]]:
        for sample in self.samples:
            if sample["workload"] == workload and sample["peer"] == peer:
                yield sample

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")


def read(path: Path) -> Results:
    return Results(**json.loads(path.read_text()))


def describe_machine() -> dict[str, str]:
    """Processors, memory, system and every version that matters; no names, no paths."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    found = {
        "processors": str(os.cpu_count()),
        "memory": f"{pages / 2**30:.0f} GB",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "redis-server": _ask("redis-server", "--version"),
        "postgres": "not installed",
    }
    with contextlib.suppress(StoreMissing):
        found["postgres"] = _ask(str(postgres_binaries() / "postgres"), "--version")
    for library in sorted({name for peer in PEERS for name in peer.libraries}):
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "not installed"
    return found


def _ask(*command: str) -> str:
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return "not installed"
    words = answer.stdout.replace("v=", "").split()
    return next((word for word in words if word[0].isdigit()), "unknown")
