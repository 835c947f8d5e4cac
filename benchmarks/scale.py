"""How taskflow grows with processes and files: one self-contained run of under five minutes.

    python -m benchmarks.scale [--most N] [--jobs N] [--messages N] [--rounds N] [--json FILE]

Drains no-op jobs, and publishes one by one, each with one process over one file, with `--most`
processes over one file, and with as many over as many files; in turns, so that what else the
machine does strikes all. Shown are the medians, and the ratios to one process over one file; the
CPU time is that of all processes, for a thousand messages. As many peers' processes are in
`make bench`; these need nothing but taskflow.
"""

import argparse
import json
import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from benchmarks.catalog import BY_NAME, Peer
from benchmarks.session import SETTLE, Session

MOST = 8
"""Processes and files, where there are as many cores."""


class Sample(NamedTuple):
    """Messages a second, and CPU seconds for a thousand of them."""

    rate: float
    cpu: float


class Case(NamedTuple):
    """One line of the table."""

    what: str
    processes: int
    files: int
    measure: Callable[[], Sample]

    @property
    def name(self) -> str:
        files = "1 file" if self.files == 1 else f"{self.files} files"
        processes = "1 process" if self.processes == 1 else f"{self.processes} processes"
        return f"{self.what}, {processes}, {files}"


def drain(peer: Peer, processes: int, jobs: int) -> Sample:
    """Jobs that were sent in batches, from when a quarter of them was handled to the last: before
    that, the later processes are still on their way."""
    command = peer.worker + (f" -p {processes}" if processes > 1 else "")
    with Session(peer) as session:
        session.send("batches", jobs, 0)
        session.start([command])
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


def cases(most: int, jobs: int, messages: int) -> list[Case]:
    """All that is measured, the plain case of each kind first."""
    made = []
    for processes, files in ((1, 1), (most, 1), (most, most)):
        plain = over(BY_NAME["taskflow"], files)
        made.append(Case("drain", processes, files, _of(drain, plain, processes, jobs)))
    for name, what, part in (("taskflow", "publish", 1), ("taskflow-power", "publish (power)", 5)):
        for processes, files in ((1, 1), (most, 1), (most, most)):
            peer = over(BY_NAME[name], files)
            count = messages // part
            made.append(Case(what, processes, files, _of(publish, peer, processes, count)))
    return made


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
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    wanted = cases(given.most, given.jobs, given.messages)
    medians = measured(wanted, given.rounds)
    print(f"{cores} cores, {given.rounds} rounds\n")
    print("\n".join(table(wanted, medians)))
    if given.json is not None:
        found = {name: sample._asdict() for name, sample in medians.items()}
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
