"""The benchmark's command.

    python -m benchmarks [--rounds 3] [--workloads a,b] [--peers taskflow,huey-redis] [--quick]
    python -m benchmarks --beside ../before    # a checkout of an older commit: ratios, printed only

All peers take turns within one run: each round goes through the workloads, each workload through
the peers, and each round begins with another peer. A run with all peers replaces its workloads in
benchmarks/results/; a quick one, or one with some peers, is only printed unless --into says where.
"""

import argparse
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from benchmarks import plot, report, task_workloads, workloads
from benchmarks.catalog import BY_NAME, PEERS, Peer
from benchmarks.comparison import BEFORE, Comparison, alternated
from benchmarks.figure import Figure, figures
from benchmarks.results import Results, describe_machine, read
from benchmarks.tree import ROOT, Tree, checkout
from benchmarks.workloads import ONCE, QUICK, Sample, Size, failed, idle

FOLDER = Path(__file__).parent / "results"
RUN = workloads.RUN | task_workloads.RUN
TITLES = workloads.TITLES | task_workloads.TITLES
LETTERS = "".join(TITLES)
OURS = [peer.name for peer in PEERS if peer.name.startswith("taskflow")]


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rounds", type=int, help="3, or 1 with --quick")
    parser.add_argument("--workloads", default=",".join(LETTERS), help="letters, by commas")
    parser.add_argument("--peers", help="names, by commas")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--beside", type=checkout, help="a checkout to compare this one with")
    parser.add_argument("--into", type=Path, help="folder for the results")
    options = parser.parse_args(arguments)
    options.workloads = [letter for letter in options.workloads.split(",") if letter]
    if options.peers is None:
        options.peers = ",".join(OURS if options.beside else BY_NAME)
    options.peers = [name for name in options.peers.split(",") if name]
    if unknown := [name for name in options.peers if name not in BY_NAME]:
        parser.error(f"no peer {unknown[0]!r}; known: {', '.join(BY_NAME)}")
    if unknown := [letter for letter in options.workloads if letter not in LETTERS]:
        parser.error(f"no workload {unknown[0]!r}; known: {', '.join(LETTERS)}")
    if options.beside and options.into:
        parser.error("--beside is only printed")
    options.rounds = options.rounds or (1 if options.quick else 3)
    if not options.quick and not options.beside and options.peers == list(BY_NAME):
        options.into = options.into or FOLDER
    return options


def in_both(names: list[str], now: Tree, before: Tree) -> list[Peer]:
    """Each peer of ours out of both trees; others as they are."""
    peers = []
    for peer in map(BY_NAME.__getitem__, names):
        if peer.name not in OURS:
            peers.append(peer)
            continue
        options = dict(peer.options)
        peers.append(replace(peer, options=options | now.environment))
        peers.append(replace(peer, name=peer.name + BEFORE, options=options | before.environment))
    return peers


def rotated(peers: list[Peer], by: int) -> list[Peer]:
    by %= max(1, len(peers))
    return peers[by:] + peers[:by]


def run(letter: str, peers: list[Peer], size: Size) -> list[tuple[Peer, Sample]]:
    """One workload, all its peers in turn."""
    together = idle(peers, size) if letter == "g" else {}
    samples = []
    for peer in peers:
        try:
            sample = together.get(peer.name) or RUN[letter](peer, size)
        except Exception as error:
            sample = failed(error)
        samples.append((peer, sample))
        print(f"  {peer.name:16} {summary(sample)}", flush=True)
    return samples


def summary(sample: Sample) -> str:
    if "failed" in sample:
        return f"FAILED {sample['failed']}"
    shown = [f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in sample.items()]
    return "  ".join(shown)


def measure(options: argparse.Namespace, peers: list[Peer]) -> Results:
    """All rounds. Of two trees everything is measured in each."""
    size = QUICK if options.quick else Size()
    results = Results(describe_machine())
    began, date = time.monotonic(), time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    for number in range(1, options.rounds + 1):
        for letter in options.workloads:
            if number > 1 and letter in ONCE and not options.beside:
                continue
            chosen = [peer for peer in peers if letter in peer.workloads]
            if options.beside:
                chosen = alternated(chosen, number)
            else:
                chosen = rotated(chosen, (number - 1) * 4)
            spent = time.monotonic() - began
            print(f"{spent:5.0f} s  round {number}  ({letter}) {TITLES[letter]}", flush=True)
            results.runs[letter] = {"rounds": number, "began": date, "quick": options.quick}
            for peer, sample in run(letter, chosen, size):
                results.add(number, letter, peer.name, sample)
    return results


def compare(options: argparse.Namespace) -> Results:
    """Measure two trees and print what became of each figure."""
    with Tree(ROOT) as now, Tree(options.beside) as before:
        print(f"now {now.commit}, before {before.commit}", flush=True)
        results = measure(options, in_both(options.peers, now, before))
    for sample in results.samples:
        for waiting, cost in sample.get("microseconds", {}).items():
            sample[f"us_at_{waiting}"] = cost
    sizes = (QUICK if options.quick else Size()).backlogs
    wanted = [
        *figures([*report.TABLES, *report.TASK_TABLES]),
        *(Figure("f", f"us_at_{waiting}") for waiting in sizes),
    ]
    print(Comparison(results, options.peers, wanted).markdown())
    return results


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # end what was started, too
    if options.beside:
        return int(compare(options).failed)
    results = measure(options, [BY_NAME[name] for name in options.peers])
    failures = results.failed
    if not options.into:
        print(report.markdown(results))
        return int(failures)
    options.into.mkdir(parents=True, exist_ok=True)
    file = options.into / "results.json"
    if file.exists():
        results.keep(read(file))
    results.write(file)
    (options.into / "results.md").write_text(report.markdown(results))
    if not plot.draw(results, options.into / "results.svg"):
        print("no plot: matplotlib is not installed")
    return int(failures)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
