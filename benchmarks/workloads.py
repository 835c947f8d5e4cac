"""The workloads, each a function from peers to samples. benchmarks/README.md says what they ask."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from benchmarks import accounting
from benchmarks.catalog import Peer
from benchmarks.session import SETTLE, BenchmarkError, Session
from benchmarks.tree import ROOT

Sample = dict[str, Any]
IO_SECONDS = 0.1


@dataclass(frozen=True)
class Size:
    """How much of everything; `drain` and `tasks` are shares of each peer's own number of jobs."""

    drain: float = 1.0
    one: int = 3_000
    batches: int = 10_000
    io: int = 1_000
    handovers: int = 205
    gap: float = 0.02
    idle: float = 20.0
    backlogs: tuple[int, ...] = (1_000, 100_000, 1_000_000)
    tasks: float = 0.5
    sends: int = 1_000
    calls: int = 305
    many: int = 100_000
    members: int = 10_000
    schedules: int = 10_000


QUICK = Size(
    *(0.1, 300, 2_000, 100, 30, 0.02, 3.0, (1_000, 10_000, 50_000)),
    *(0.05, 200, 55, 10_000, 300, 500),
)


def drain(peer: Peer, size: Size, processes: int = 1) -> Sample:
    """(a) and (e): the queue is full before the worker starts."""
    jobs = int(peer.jobs * size.drain)
    with Session(peer) as session:
        session.send("batches" if peer.batches else "one", jobs, 0)
        return drained(session, jobs, peer.commands(processes))


def drained(session: Session, jobs: int, commands: list[str]) -> Sample:
    """Start workers on a queue that is full, and see it emptied."""
    popped = session.start(commands)
    session.wait_for(1)
    before = session.cpu()
    session.wait_for(jobs)
    session.rest(SETTLE)
    after = session.cpu()
    peak = session.peak_memory()
    runs = session.records()
    first, last = min(run.started for run in runs), max(run.ended for run in runs)
    workers, store = (later - early for later, early in zip(after, before, strict=True))
    return {
        "jobs": jobs,
        "rate": jobs / (last - first),
        "wall": last - first,
        "startup": first - popped,
        "cpu_per_1000": (workers + store) / jobs * 1000,
        "store_cpu_per_1000": store / jobs * 1000,
        "peak_mb": peak,
        "run_twice": len(runs) - len({run.number for run in runs}),
        "lost": jobs - len({run.number for run in runs}),
    }


def drain_two(peer: Peer, size: Size) -> Sample:
    return drain(peer, size, processes=2)


def enqueue(peer: Peer, size: Size) -> Sample:
    """(b): one process sends, nobody receives."""
    found: Sample = {}
    for verb, messages in (("one", size.one), ("batches", size.batches)):
        if verb == "batches" and not peer.batches:
            continue
        with Session(peer) as session:
            sent = session.send(verb, messages, 0)
        found |= {
            f"{verb}_rate": sent["messages"] / sent["wall"],
            f"{verb}_cpu_per_1000": (sent["cpu"] + sent["store_cpu"]) / sent["messages"] * 1000,
        }
    return found


def waiting(peer: Peer, size: Size) -> Sample:
    """(c): jobs that wait 100 ms, ten at once."""
    jobs = size.io
    with Session(peer) as session:
        session.send("batches" if peer.batches else "one", jobs, IO_SECONDS)
        session.start([peer.ten] if peer.ten else peer.commands())
        session.wait_for(1)
        before = session.cpu()
        session.wait_for(jobs)
        workers, store = (late - early for late, early in zip(session.cpu(), before, strict=True))
        runs = session.records()
    ideal = jobs * IO_SECONDS / 10
    wall = max(run.ended for run in runs) - min(run.started for run in runs)
    return {"wall": wall, "over_ideal": wall / ideal - 1, "cpu": workers + store}


def handover(peer: Peer, size: Size) -> Sample:
    """(d): from the call that sends, in one process, to the handler's start in another."""
    with Session(peer) as session:
        session.send("one", 2, 0)
        session.start(peer.commands())
        session.wait_for(2)
        session.rest(1.0)
        session.send("trickle", size.handovers, size.gap)
        session.wait_for(2 + size.handovers)
        runs = [run for run in session.records() if run.sent]
    late = sorted((run.started - run.sent) * 1000 for run in runs if run.number >= 5)
    return {
        "events": len(late),
        "p50_ms": statistics.median(late),
        "p99_ms": late[len(late) * 99 // 100],
        "max_ms": late[-1],
    }


def start_up(peer: Peer, size: Size) -> Sample:
    """(h): from starting the command to its first handler, and the workers' memory then."""
    with Session(peer) as session:
        session.send("one", 2, 0)
        started = session.start(peer.commands())
        session.wait_for(2)
        first = min(run.started for run in session.records())
        session.rest(1.0)
        resident, shared_once = accounting.memory(session.worker_pids)
    return {"startup": first - started, "rss_mb": resident, "pss_mb": shared_once}


def idle(peers: list[Peer], size: Size) -> dict[str, Sample]:
    """(g): all workers wait at the same time, after one job each; CPU time does not mind."""
    found: dict[str, Sample] = {}
    with ExitStack() as stack:
        sessions: list[Session] = []
        for peer in peers:
            try:
                session = stack.enter_context(Session(peer))
                session.send("one", 2, 0)
                session.start(peer.commands())
                session.wait_for(2)
                sessions.append(session)
            except Exception as error:
                found[peer.name] = failed(error)
        if not sessions:
            return found
        sessions[0].rest(2.0)
        trees = [accounting.tree(session.worker_pids) for session in sessions]
        before = [_spent(session, pids) for session, pids in zip(sessions, trees, strict=True)]
        sessions[0].rest(size.idle)
        for session, pids, early in zip(sessions, trees, before, strict=True):
            late = _spent(session, pids)
            workers, store = (now - then for now, then in zip(late, early, strict=True))
            found[session.peer.name] = {
                "worker_share": workers / size.idle,
                "store_share": store / size.idle,
            }
    return found


def _spent(session: Session, workers: set[int]) -> tuple[float, float]:
    """As `Session.cpu`; what a waiting worker needs is less than the steps of that."""
    seconds = 0.0
    for pid in workers:
        with suppress(OSError):  # it has ended
            seconds += accounting.clock(pid)
    return seconds, session.cpu()[1]


def backlog(peer: Peer, size: Size) -> Sample:
    """(f): what a receive and its acknowledgement cost, by how much waits."""
    command = [sys.executable, "-m", "benchmarks.backlog", *map(str, size.backlogs)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | dict(peer.options)
    done = subprocess.run(
        command,
        cwd=environment["PYTHONPATH"],  # which goes before it
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        raise BenchmarkError((done.stderr.strip().splitlines() or ["it said nothing"])[-1])
    return {"microseconds": json.loads(done.stdout)}


def failed(error: Exception) -> Sample:
    return {"failed": f"{type(error).__name__}: {error}"}


TITLES = {
    "a": "drain, one process",
    "b": "enqueue",
    "c": "100 ms of I/O",
    "d": "hand-over",
    "e": "drain, two processes",
    "f": "cost against backlog",
    "g": "waiting",
    "h": "start-up",
}
RUN: dict[str, Callable[[Peer, Size], Sample]] = {
    "a": drain,
    "b": enqueue,
    "c": waiting,
    "d": handover,
    "e": drain_two,
    "f": backlog,
    "h": start_up,
}
"""All but (g), which is not run peer by peer."""
ONCE = "cfn"
"""Measured in the first round only: they take turns, or their time, within themselves."""
