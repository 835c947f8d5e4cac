"""How taskflow grows with processes and files: one self-contained run of under five minutes.

    python -m benchmarks.scale [--most N] [--jobs N] [--messages N] [--rounds N] [--json FILE]
                               [--serve SECONDS] [--peers taskiq,dramatiq] [--only drain]

Drains no-op jobs, and publishes one by one, each with one process over one file, with `--most`
processes over one file, and with as many over as many files; in turns, so that what else the
machine does strikes all. Shown are the medians, and the ratios to one process over one file; the
CPU time is that of all processes, for a thousand messages. These need nothing but taskflow.
`--serve` sends to `taskflow serve --processes`, receives and deletes for so many seconds as well.
Peers of `make bench` that are named, and installed, drain with as many processes beside it.
"""

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from benchmarks.catalog import BY_NAME, Peer
from benchmarks.session import SETTLE, Session
from benchmarks.wire.many import serve

MOST = 8
"""Processes and files, where there are as many cores."""


class Sample(NamedTuple):
    """Messages a second, and CPU seconds for a thousand of them."""

    rate: float
    cpu: float


class Case(NamedTuple):
    """One line of the table. A peer has 0 files."""

    what: str
    processes: int
    files: int
    measure: Callable[[], Sample]

    @property
    def name(self) -> str:
        files = {0: "Redis", 1: "1 file"}.get(self.files, f"{self.files} files")
        processes = "1 process" if self.processes == 1 else f"{self.processes} processes"
        return f"{self.what}, {processes}, {files}"


def drain(peer: Peer, processes: int, jobs: int) -> Sample:
    """Jobs that were sent in batches, from when a quarter of them was handled to the last: before
    that, the later processes are still on their way."""
    with Session(peer) as session:
        session.send("batches" if peer.batches else "one", jobs, 0)
        session.start(peer.commands(processes))
        session.wait_for(jobs // 4)
        seen, before = len(session.records()), sum(session.cpu())
        session.wait_for(jobs)
        session.rest(SETTLE)
        cpu = sum(session.cpu()) - before
        ends = sorted(run.ended for run in session.records())
    rate = (jobs - jobs // 4) / (ends[-1] - ends[jobs // 4 - 1])
    return Sample(rate, cpu / (jobs - seen) * 1000)


def publish(peer: Peer, processes: int, messages: int) -> Sample:
    """One by one, by so many senders at once, while nobody receives."""
    with Session(peer) as session:
        found = session.send_at_once(processes, "one", messages, 0)
    rate = sum(one["messages"] / one["wall"] for one in found)
    total = sum(one["messages"] for one in found)
    return Sample(rate, sum(one["cpu"] for one in found) / total * 1000)


def over(peer: Peer, files: int) -> Peer:
    """The peer with its broker over so many files."""
    return peer if files == 1 else replace(peer, address=f"{peer.address}&shards={files}")


def cases(
    most: int, jobs: int, messages: int, serving: float = 0.0, peers: Sequence[str] = ()
) -> list[Case]:
    """All that is measured, the plain case of each kind first."""
    made = []
    shapes = ((1, 1), (most, 1), (most, most))
    for processes, files in shapes:
        plain = over(BY_NAME["taskflow"], files)
        made.append(Case("drain", processes, files, _of(drain, plain, processes, jobs)))
    for name in peers:
        for processes in (1, most):
            share = jobs // 8 if processes == 1 else jobs // 2  # they are slower
            measure = _of(drain, BY_NAME[name], processes, share)
            made.append(Case(f"drain by {name}", processes, 0, measure))
    for name, what, part in (("taskflow", "publish", 1), ("taskflow-power", "publish (power)", 5)):
        for processes, files in shapes:
            peer = over(BY_NAME[name], files)
            count = messages // part
            made.append(Case(what, processes, files, _of(publish, peer, processes, count)))
    for processes, files in shapes if serving else ():
        made.append(Case("serve", processes, files, _serving(processes, files, serving)))
    return made


def _serving(processes: int, files: int, seconds: float) -> Callable[[], Sample]:
    return lambda: Sample(*serve(processes, files, seconds))


def _of(
    measure: Callable[[Peer, int, int], Sample], peer: Peer, processes: int, count: int
) -> Callable[[], Sample]:
    return lambda: measure(peer, processes, count)


def measured(found: Sequence[Case], rounds: int) -> dict[str, Sample]:
    """The median of each case."""
    samples: dict[str, list[Sample]] = {one.name: [] for one in found}
    for turn in range(rounds):
        for case in [*found[turn:], *found[:turn]]:
            samples[case.name].append(case.measure())
            print(f"{case.name}: {samples[case.name][-1].rate:,.0f}", file=sys.stderr)
    return {
        name: Sample(*(statistics.median(values) for values in zip(*some, strict=True)))
        for name, some in samples.items()
    }


def table(found: Sequence[Case], medians: dict[str, Sample]) -> list[str]:
    """As Markdown."""
    lines = ["| | messages/s | × | CPU s per 1,000 | × |", "|---|---:|---:|---:|---:|"]
    base: dict[str, Sample] = {}
    for case in found:
        sample = medians[case.name]
        plain = base.setdefault(case.what, sample)
        lines.append(
            f"| {case.name} | {sample.rate:,.0f} | {sample.rate / plain.rate:.2f} | "
            f"{sample.cpu:.4f} | {sample.cpu / plain.cpu:.2f} |"
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale")
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--most", type=int, default=max(2, min(MOST, cores)))
    parser.add_argument("--jobs", type=int, default=40_000)
    parser.add_argument("--messages", type=int, default=10_000, help="of each sender")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--peers", default="", help="names, by commas")
    parser.add_argument("--only", default="", help="cases whose names begin so")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    peers = [name for name in given.peers.split(",") if name]
    if unknown := [name for name in peers if name not in BY_NAME]:
        parser.error(f"no peer {unknown[0]!r}; known: {', '.join(BY_NAME)}")
    wanted = cases(given.most, given.jobs, given.messages, given.serve, peers)
    wanted = [case for case in wanted if case.name.startswith(given.only)]
    medians = measured(wanted, given.rounds)
    print(f"{cores} cores, {given.rounds} rounds\n")
    print("\n".join(table(wanted, medians)))
    if given.json is not None:
        found = {name: sample._asdict() for name, sample in medians.items()}
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
