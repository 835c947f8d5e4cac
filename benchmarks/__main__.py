"""The benchmark's command.

    python -m benchmarks [--rounds 3] [--workloads a,b] [--peers taskflow,huey-redis] [--quick]

All peers take turns within one run: each round goes through the workloads, each workload through
the peers, and each round begins with another peer. A run with all peers replaces its workloads in
benchmarks/results/; a quick one, or one with some peers, is only printed unless --into says where.
"""

import argparse
import signal
import sys
import time
from pathlib import Path

from benchmarks import plot, report
from benchmarks.catalog import BY_NAME, Peer
from benchmarks.results import Results, describe_machine, read
from benchmarks.workloads import ONCE, QUICK, RUN, TITLES, Sample, Size, failed, idle

FOLDER = Path(__file__).parent / "results"
LETTERS = "abcdefgh"


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workloads", default=",".join(LETTERS), help="letters, by commas")
    parser.add_argument("--peers", default=",".join(BY_NAME), help="names, by commas")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything, one round")
    parser.add_argument("--into", type=Path, help="folder for the results")
    options = parser.parse_args(arguments)
    options.workloads = [letter for letter in options.workloads.split(",") if letter]
    options.peers = [name for name in options.peers.split(",") if name]
    if unknown := [name for name in options.peers if name not in BY_NAME]:
        parser.error(f"no peer {unknown[0]!r}; known: {', '.join(BY_NAME)}")
    if unknown := [letter for letter in options.workloads if letter not in LETTERS]:
        parser.error(f"no workload {unknown[0]!r}; known: {', '.join(LETTERS)}")
    if options.quick:
        options.rounds = 1
    elif options.peers == list(BY_NAME) and not options.into:
        options.into = FOLDER
    return options


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


def measure(options: argparse.Namespace) -> Results:
    """All rounds."""
    size = QUICK if options.quick else Size()
    results = Results(describe_machine())
    began, date = time.monotonic(), time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    for number in range(1, options.rounds + 1):
        for letter in options.workloads:
            if number > 1 and letter in ONCE:
                continue
            chosen = [BY_NAME[name] for name in options.peers if letter in BY_NAME[name].workloads]
            spent = time.monotonic() - began
            print(f"{spent:5.0f} s  round {number}  ({letter}) {TITLES[letter]}", flush=True)
            results.runs[letter] = {"rounds": number, "began": date, "quick": options.quick}
            for peer, sample in run(letter, rotated(chosen, (number - 1) * 4), size):
                results.add(number, letter, peer.name, sample)
    return results


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # end what was started, too
    results = measure(options)
    failures = any("failed" in sample for sample in results.samples)
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
