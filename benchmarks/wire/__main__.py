"""The command of the server's benchmark.

    python -m benchmarks.wire [--rounds 3] [--workloads a,b] [--servers taskflow,moto] [--quick]
    python -m benchmarks.wire --beside ../before   # a checkout of an older commit: ratios, printed

In each round all servers are started and take turns at each workload; each round begins with
another one. A run of all servers replaces its workloads in benchmarks/results/wire.*; a quick one,
or one with some servers, is only printed unless --into says where.
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from benchmarks import plot
from benchmarks.__main__ import summary
from benchmarks.comparison import BEFORE, Comparison, alternated
from benchmarks.figure import figures
from benchmarks.results import Results, read
from benchmarks.tree import ROOT, Tree, checkout
from benchmarks.wire import report
from benchmarks.wire.results import WireResults, describe
from benchmarks.wire.servers import BY_NAME, KINDS, Kind, Server
from benchmarks.wire.starting import starts
from benchmarks.wire.workloads import IN_TURNS, QUICK, TITLES, Sample, Size, backlog, waiting

FOLDER = Path(__file__).parent.parent / "results"
OURS = [name for name in BY_NAME if name.startswith("taskflow")]
LAST = "moto"
"""Goes last at (f): the threads of its parked polls stay busy after their clients have left."""


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wire", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rounds", type=int, help="3, or 1 with --quick")
    parser.add_argument("--workloads", help="letters, by commas")
    parser.add_argument("--servers", help="names, by commas")
    parser.add_argument("--quick", action="store_true", help="a part of everything")
    parser.add_argument("--beside", type=checkout, help="a checkout to compare this one with")
    parser.add_argument("--into", type=Path, help="folder for the results")
    options = parser.parse_args(arguments)
    letters, names = (IN_TURNS, OURS) if options.beside else (TITLES, BY_NAME)
    options.workloads = [
        letter for letter in (options.workloads or ",".join(letters)).split(",") if letter
    ]
    options.servers = [name for name in (options.servers or ",".join(names)).split(",") if name]
    if unknown := [name for name in options.servers if name not in BY_NAME]:
        parser.error(f"no server {unknown[0]!r}; known: {', '.join(BY_NAME)}")
    if unknown := [letter for letter in options.workloads if letter not in TITLES]:
        parser.error(f"no workload {unknown[0]!r}; known: {', '.join(TITLES)}")
    if options.beside and (alone := [one for one in options.workloads if one not in IN_TURNS]):
        parser.error(f"({alone[0]}) is not measured in turns: not with --beside")
    if options.beside and options.into:
        parser.error("--beside is only printed")
    options.rounds = options.rounds or (1 if options.quick else 3)
    if not options.quick and not options.beside and options.servers == list(BY_NAME):
        options.into = options.into or FOLDER
    options.kinds = [kind for kind in KINDS if kind.name in options.servers]
    return options


class Run:
    """One run: its results so far, and its time."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._size = QUICK if options.quick else Size()
        self._kinds: list[Kind] = [kind for kind in options.kinds if kind.installed]
        for kind in options.kinds:
            if not kind.installed:
                print(f"{kind.name} is not installed; left out")
        self.results: Results = WireResults(describe(self._kinds))
        self._since = time.monotonic()
        self._began = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())

    def measure(self) -> None:
        """All rounds, then what is measured once."""
        for number in range(1, self._options.rounds + 1):
            self._round(number)
        if "g" in self._options.workloads:
            self._announce(1, "g")
            for kind in self._kinds:
                self._sample(1, "g", kind.name, lambda kind=kind: waiting(kind, self._size))  # type: ignore[misc]  # its own default
        if "h" in self._options.workloads and "taskflow" in self._options.servers:
            self._announce(1, "h")
            self._sample(1, "h", "taskflow", lambda: backlog(self._size))
        if "i" in self._options.workloads and "taskflow" in self._options.servers:
            self._announce(1, "i")
            self._sample(1, "i", "taskflow", lambda: starts(self._size))

    def _round(self, number: int) -> None:
        letters = [letter for letter in self._options.workloads if letter in IN_TURNS]
        if not letters:
            return
        with ExitStack() as stack:
            servers = []
            for kind in self._order(number):
                try:
                    servers.append(stack.enter_context(Server(kind)))
                except Exception as error:
                    self.results.add(number, letters[0], kind.name, _failed(error))
            for letter in letters:
                self._announce(number, letter)
                turn = servers
                if letter == "f":
                    turn = sorted(servers, key=lambda server: server.kind.name == LAST)
                for server in turn:
                    self._sample(
                        number,
                        letter,
                        server.kind.name,
                        lambda server=server, letter=letter: IN_TURNS[letter](server, self._size),  # type: ignore[misc]  # their own defaults
                    )

    def _order(self, number: int) -> list[Kind]:
        if self._options.beside:
            return alternated(self._kinds, number)
        return _rotated(self._kinds, number - 1)

    def _announce(self, number: int, letter: str) -> None:
        spent = time.monotonic() - self._since
        print(f"{spent:5.0f} s  round {number}  ({letter}) {TITLES[letter]}", flush=True)
        self.results.runs[letter] = {
            "rounds": number,
            "began": self._began,
            "quick": self._options.quick,
        }

    def _sample(self, number: int, letter: str, name: str, take: Callable[[], Sample]) -> None:
        try:
            sample = take()
        except Exception as error:
            sample = _failed(error)
        self.results.add(number, letter, name, sample)
        print(f"  {name:16} {summary(sample)[:400]}", flush=True)


def _rotated(kinds: list[Kind], by: int) -> list[Kind]:
    by %= max(1, len(kinds))
    return kinds[by:] + kinds[:by]


def in_both(kinds: list[Kind], now: Tree, before: Tree) -> list[Kind]:
    """Each server of ours out of both trees; others as they are."""
    found = []
    for kind in kinds:
        if kind.name not in OURS:
            found.append(kind)
            continue
        command = kind.command.replace("taskflow", "python -m benchmarks.wire.started", 1)
        for name, tree in ((kind.name, now), (kind.name + BEFORE, before)):
            found.append(replace(kind, name=name, command=command, environment=tree.environment))
    return found


def compare(options: argparse.Namespace) -> Results:
    """Measure two trees and print what became of each figure."""
    with Tree(ROOT) as now, Tree(options.beside) as before:
        print(f"now {now.commit}, before {before.commit}", flush=True)
        options.kinds = in_both(options.kinds, now, before)
        run = Run(options)
        run.measure()
    print(Comparison(run.results, options.servers, figures(report.TABLES)).markdown())
    return run.results


def _failed(error: Exception) -> Sample:
    return {"failed": f"{type(error).__name__}: {error}"}


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # end what was started, too
    if options.beside:
        return int(compare(options).failed)
    run = Run(options)
    run.measure()
    results = run.results
    if not options.into:
        print(report.markdown(results))
        return 0
    options.into.mkdir(parents=True, exist_ok=True)
    file = options.into / "wire.json"
    if file.exists():
        results.keep(read(file))
    results.write(file)
    (options.into / "wire.md").write_text(report.markdown(results))
    titles = {kind.name: kind.title for kind in KINDS}
    if not plot.draw(results, options.into / "wire.svg", report.PANELS, titles):
        print("no plot: matplotlib is not installed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
