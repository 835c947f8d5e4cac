"""The command of the benchmark of requests on AWS.

    python -m benchmarks.aws [--rounds 3] [--clients taskflow,celery] [--quick] [--into FOLDER]

A full run replaces benchmarks/results/aws.*; a quick one, or one of some clients, is only printed
unless --into says where.
"""

import argparse
import json
import os
import platform
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.aws import report
from benchmarks.aws.clients import KINDS, Kind, idle, load

FOLDER = Path(__file__).parent.parent / "results"
DELAYS = (0, 2, 20)  # milliseconds
SETTLE, WINDOW = 20.0, 60.0  # seconds


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.aws", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    names = [kind.name for kind in KINDS]
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", default=",".join(names), help="names, by commas")
    parser.add_argument("--quick", action="store_true", help="one round, a shorter idle window")
    parser.add_argument("--into", type=Path, help="folder for the results")
    options = parser.parse_args(arguments)
    chosen = [name for name in options.clients.split(",") if name]
    if unknown := [name for name in chosen if name not in names]:
        parser.error(f"no client {unknown[0]!r}; known: {', '.join(names)}")
    options.count = 1000
    options.kinds = [kind for kind in KINDS if kind.name in chosen]
    if options.quick:
        options.rounds = 1
    elif chosen == names and not options.into:
        options.into = FOLDER
    return options


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All rounds, clients in turns, and the idle window of all of them at once."""
    kinds: list[Kind] = [kind for kind in options.kinds if kind.installed]
    began = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    samples: list[dict[str, Any]] = []
    for number in range(1, options.rounds + 1):
        for delay in DELAYS:
            turn = number % len(kinds)
            for kind in kinds[turn:] + kinds[:turn]:
                try:
                    sample = load(kind, delay / 1000, options.count)
                except Exception as error:
                    sample = {"failed": f"{type(error).__name__}: {error}"}
                samples.append({"client": kind.name, "delay": delay, "round": number} | sample)
                print(f"round {number}, {delay:2} ms, {kind.name:9} {sample}", flush=True)
    settle, window = (2.0, 20.0) if options.quick else (SETTLE, WINDOW)
    with ThreadPoolExecutor() as pool:
        waiting = {kind.name: pool.submit(idle, kind, 0.0, settle, window) for kind in kinds}
        quiet = {name: future.result() for name, future in waiting.items()}
    print(f"idle {quiet}", flush=True)
    return {
        "began": began,
        "rounds": options.rounds,
        "count": options.count,
        "window": window,
        "machine": {
            "processors": str(os.cpu_count()),
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
            "load at the end": f"{os.getloadavg()[1]:.1f}",
        },
        "samples": samples,
        "idle": quiet,
    }


def main(arguments: list[str]) -> int:
    options = parse(arguments)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # end what was started, too
    results = measure(options)
    text = report.markdown(results, {kind.name: kind.title for kind in KINDS})
    if not options.into:
        print(text)
        return 0
    options.into.mkdir(parents=True, exist_ok=True)
    (options.into / "aws.json").write_text(json.dumps(results, indent=1) + "\n")
    (options.into / "aws.md").write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
