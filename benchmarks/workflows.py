"""What workflows cost: steps, runs, results, recovery, and a great many that wait.

    python -m benchmarks.workflows [--rounds 3] [--only many,one] [--folder DIR]
                                   [--beside ../before] [--dbos PYTHON] [--suspended 1000000]

Each measurement has a broker's file of its own, in `--folder` (the folder for temporary files), and
a process of its own. `--beside` takes turns with an older checkout, `--dbos` names a Python that
has DBOS installed: the same steps there, over its SQLite. `--suspended` measures that many runs
that wait, and nothing else.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.tree import ROOT, Tree, checkout

Found = dict[str, float]
PROCESS, POWER = "process", "power"
LEASE = 10.0  # seconds
WITHIN = 900.0
CASES = ("many", "one", "calls", "recovery", "dbos")
ROWS = {
    "runs": ("runs/s", "{:,.0f}"),
    "steps": ("steps/s", "{:,.0f}"),
    "us": ("us of CPU", "{:,.0f}"),
    "p50_ms": ("p50, ms", "{:.2f}"),
    "p99_ms": ("p99, ms", "{:.2f}"),
    "resumed_s": ("s until all go on", "{:.1f}"),
    "over_lease_s": ("s beyond the lease", "{:.1f}"),
    "cpu": ("CPU s", "{:.2f}"),
}


class Place:
    """Where processes that are measured run: a folder of their own, and whose taskflow."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._environment = os.environ | environment

    def address(self, durability: str) -> str:
        """Of a broker's file in the folder."""
        return f"sqlite:///{self._folder}/broker.db?durability={durability}"

    def start(self, *words: object) -> subprocess.Popen[str]:
        """Begin a measurement."""
        command = [sys.executable, "-m", "benchmarks.workflow_probe", *map(str, words)]
        return subprocess.Popen(
            command, cwd=self._folder, env=self._environment, stdout=subprocess.PIPE, text=True
        )

    def run(self, *words: object) -> Found:
        """Measure."""
        return read(self.start(*words))

    def size(self) -> int:
        """Bytes of the broker's files."""
        return sum(one.stat().st_size for one in self._folder.iterdir() if one.is_file())


def read(process: subprocess.Popen[str]) -> Found:
    """What it prints, when it has ended. Raises RuntimeError when it fails."""
    out, _ = process.communicate(timeout=WITHIN)
    if process.returncode:
        raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
    found: Found = json.loads(out.splitlines()[-1])
    return found


@contextmanager
def place(folder: Path | None, environment: dict[str, str]) -> Iterator[Place]:
    """A folder that goes at the end."""
    made = Path(tempfile.mkdtemp(prefix="bench-", dir=folder))
    try:
        yield Place(made, environment)
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def ended(process: subprocess.Popen[str], by: signal.Signals) -> Iterator[subprocess.Popen[str]]:
    """A process that is ended after the block."""
    try:
        yield process
    finally:
        process.send_signal(by)
        process.wait()


def calls(where: Place, count: int, durability: str) -> Found:
    """From `delay` to `get`, the worker being another process."""
    address = where.address(durability)
    with ended(where.start("serve", address, 0), signal.SIGKILL):
        return where.run("calls", address, count)


def recovery(where: Place, count: int) -> Found:
    """A worker that has begun so many runs is killed, and another one goes on with them."""
    address = where.address(PROCESS)
    with ended(where.start("hold", address, count, LEASE), signal.SIGKILL) as holder:
        assert holder.stdout is not None
        if not holder.stdout.readline():
            raise RuntimeError("the worker that holds them has failed")
    killed = time.time()
    found = where.run("resume", address, count, LEASE)
    took = found["last"] - killed
    return {"resumed_s": took, "over_lease_s": took - LEASE, "cpu": found["cpu"]}


def suspended(where: Place, count: int) -> Found:
    """So many runs that wait for a signal: what they take on disk, and of a worker beside them."""
    address = where.address(PROCESS)
    where.run("suspend", address, 0)
    alone = where.run("idle", address, 0)["cpu"]
    before = where.size()
    where.run("suspend", address, count)
    found = {"bytes": (where.size() - before) / count, "idle_alone": alone}
    found["idle"] = where.run("idle", address, 0)["cpu"]
    return found | {f"wake_{name}": value for name, value in where.run("wake", address, 0).items()}


def cases(only: Sequence[str], dbos: str | None) -> list[tuple[str, str, int]]:
    """What is measured: name, durability, how many."""
    found = []
    for durability, share in ((PROCESS, 1), (POWER, 2)):
        found += [("many", durability, 3000 // share), ("many_async", durability, 3000 // share)]
        found += [("one", durability, 3000 // share), ("calls", durability, 300 // share)]
    found += [("recovery", PROCESS, 1000)]
    if dbos:
        found += [("dbos_many", "SQLite", 100), ("dbos_one", "SQLite", 500)]
    return [one for one in found if one[0].partition("_")[0] in only]


def measure(what: str, durability: str, count: int, where: Place, dbos: str | None) -> Found:
    """One case, once."""
    if what == "calls":
        return calls(where, count, durability)
    if what == "recovery":
        return recovery(where, count)
    if what.startswith("dbos"):
        file = where.address("").removeprefix("sqlite:///").partition("?")[0]
        script = Path(__file__).parent / "dbos_probe.py"
        command = [dbos or "", str(script), what.removeprefix("dbos_"), file, str(count)]
        return read(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    return where.run(what, where.address(durability), count)


def shown(found: dict[str, list[Found]]) -> Iterator[str]:
    """As Markdown: medians, the lowest and the highest."""
    yield "| | | median | least | most |"
    yield "|---|---|---:|---:|---:|"
    for name, samples in found.items():
        for key, (unit, form) in ROWS.items():
            if values := [sample[key] for sample in samples if key in sample]:
                numbers = (statistics.median(values), min(values), max(values))
                yield f"| {name} | {unit} | {' | '.join(form.format(one) for one in numbers)} |"


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workflows", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(CASES), help="cases, by commas")
    parser.add_argument("--folder", type=Path, help="where the broker's files are")
    parser.add_argument("--beside", type=checkout, help="a checkout to compare this one with")
    parser.add_argument("--dbos", help="a Python that has DBOS")
    parser.add_argument("--suspended", type=int, default=0)
    given = parser.parse_args()
    if given.suspended:
        with Tree(ROOT) as entered, place(given.folder, entered.environment) as where:
            print(json.dumps(suspended(where, given.suspended), indent=1))
        return
    found: dict[str, list[Found]] = {}
    trees = [Tree(ROOT), *([Tree(given.beside)] if given.beside else [])]
    for number in range(given.rounds):
        for what, durability, count in cases(given.only.split(","), given.dbos):
            for tree in trees if number % 2 else reversed(trees):
                ours = tree is trees[0]
                if what.startswith("dbos") and not ours:
                    continue
                name = f"{what}, {durability}{'' if ours else ', before'}"
                with tree as entered, place(given.folder, entered.environment) as where:
                    sample = measure(what, durability, count, where, given.dbos)
                found.setdefault(name, []).append(sample)
                print(f"{name}: {sample}", file=sys.stderr, flush=True)
    print("\n".join(shown(dict(sorted(found.items())))))


if __name__ == "__main__":
    main()
