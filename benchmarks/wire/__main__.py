"""The command of the server's benchmark.

    python -m benchmarks.wire [--rounds 3] [--workloads a,b] [--servers taskflow,moto] [--quick]

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
from pathlib import Path

from benchmarks import plot
from benchmarks.__main__ import summary
from benchmarks.results import Results, read
from benchmarks.wire import report
from benchmarks.wire.results import WireResults, describe
from benchmarks.wire.servers import BY_NAME, KINDS, Kind, Server
from benchmarks.wire.starting import starts
from benchmarks.wire.workloads import IN_TURNS, QUICK, TITLES, Sample, Size, backlog, waiting

FOLDER = Path(__file__).parent.parent / "results"
LAST = "moto"
"""Goes last at (f): the threads of its parked polls stay busy after their clients have left."""


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wire", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workloads", default=",".join(TITLES), help="letters, by commas")
    parser.add_argument("--servers", default=",".join(BY_NAME), help="names, by commas")
    parser.add_argument("--quick", action="store_true", help="a part of everything, one round")
    parser.add_argument("--into", type=Path, help="folder for the results")
    options = parser.parse_args(arguments)
    options.workloads = [letter for letter in options.workloads.split(",") if letter]
    options.servers = [name for name in options.servers.split(",") if name]
    if unknown := [name for name in options.servers if name not in BY_NAME]:
        parser.error(f"no server {unknown[0]!r}; known: {', '.join(BY_NAME)}")
    if unknown := [letter for letter in options.workloads if letter not in TITLES]:
        parser.error(f"no workload {unknown[0]!r}; known: {', '.join(TITLES)}")
    if options.quick:
        options.rounds = 1
    elif options.servers == list(BY_NAME) and not options.into:
        options.into = FOLDER
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
            for kind in _rotated(self._kinds, number - 1):
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


def _failed(error: Exception) -> Sample:
    return {"failed": f"{type(error).__name__}: {error}"}


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # end what was started, too
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
