"""The workloads of tasks: results, calls one at a time, many at once, chords, schedules."""

import time
from collections.abc import Callable

from benchmarks.catalog import Peer
from benchmarks.session import SETTLE, BenchmarkError, Session
from benchmarks.workloads import Sample, Size, drained

LESS = 2  # what others are given of (i) and (j) is so many times less
MUCH_LESS = 10  # and of (l)
FEWER = 5  # and of (m)
SCHEDULERS = 4


def is_ours(peer: Peer) -> bool:
    """taskflow, whose figures are wanted with more jobs than others can do in the time."""
    return peer.name.startswith("taskflow")


def tasks(peer: Peer, size: Size, *, keep: bool = False) -> Sample:
    """(i): as (a) and (b) with tasks, the queue full before the worker starts."""
    jobs = int(peer.jobs * size.tasks) // (1 if is_ours(peer) else LESS)
    with Session(peer, keep=keep) as session:
        session.send("batches" if peer.batches else "one", jobs, 0)
        found = drained(session, jobs, peer.commands())
    with Session(peer, keep=keep) as session:
        sent = session.send("one", size.sends, 0)
    cost = (sent["cpu"] + sent["store_cpu"]) / sent["messages"] * 1000
    return found | {"one_rate": sent["messages"] / sent["wall"], "one_cpu_per_1000": cost}


def kept(peer: Peer, size: Size) -> Sample:
    """(j): the same, and every result is stored."""
    return tasks(peer, size, keep=True)


def calls(peer: Peer, size: Size) -> Sample:
    """(k): send, run in another process, get the result; the next one after that."""
    with Session(peer, keep=True) as session:
        session.send("one", 2, 0)
        session.start(peer.commands())
        session.wait_for(2)
        session.rest(1.0)
        before = sum(session.cpu())
        done = session.send("calls", size.calls)
        spent = sum(session.cpu()) - before + done["cpu"]
    return {
        "calls": size.calls,
        "p50_ms": done["p50_ms"],
        "p99_ms": done["p99_ms"],
        "max_ms": done["max_ms"],
        "rate": done["messages"] / done["wall"],
        "cpu_per_1000": spent / size.calls * 1000,
    }


def many(peer: Peer, size: Size) -> Sample:
    """(l): one process sends as many as it can, in the peer's best way; nobody receives."""
    ours = is_ours(peer)
    count = size.many if ours else size.many // MUCH_LESS
    found: Sample = {"jobs": count}
    for name, keep in (("many", False), ("kept", True)):
        if keep and not ours:
            continue  # others note nothing of a result when they send
        with Session(peer, keep=keep) as session:
            sent = session.send("batches" if peer.batches else "one", count, 0)
        found |= {
            f"{name}_rate": sent["messages"] / sent["wall"],
            f"{name}_cpu_per_1000": (sent["cpu"] + sent["store_cpu"]) / sent["messages"] * 1000,
        }
    return found


def chord(peer: Peer, size: Size) -> Sample:
    """(m): no-op tasks, and one that is given all their results; until its result is there."""
    members = size.members if is_ours(peer) else size.members // FEWER
    with Session(peer, keep=True) as session:
        session.send("one", 2, 0)
        session.start(peer.commands())
        session.wait_for(2)
        before = sum(session.cpu())
        done = session.send("chord", members)
        spent = sum(session.cpu()) - before + done["cpu"]
        peak = session.peak_memory()
        session.wait_for(2 + members)
        runs = [run.number for run in session.records()]
    return {
        "members": members,
        "wall": done["wall"],
        "rate": members / done["wall"],
        "stored_s": done["stored"],
        "cpu_per_1000": spent / members * 1000,
        "peak_mb": peak,
        "run_twice": len(runs) - 2 - members,
    }


def schedule(peer: Peer, size: Size) -> Sample:
    """(n): many schedules are due at one moment; several workers, all of which fire."""
    with Session(peer) as session:
        done = session.send("schedules", size.schedules)
        session.send("one", SCHEDULERS, 0)
        session.start(peer.commands() * SCHEDULERS)
        session.wait_for(SCHEDULERS)
        if time.monotonic() > done["due"]:
            raise BenchmarkError("the workers had started too late")
        session.rest(max(0.0, done["due"] - time.monotonic()))
        before = sum(session.cpu())
        session.wait_for(SCHEDULERS + size.schedules)
        session.rest(SETTLE)
        spent = sum(session.cpu()) - before
        session.wait_for(SCHEDULERS + size.schedules)  # with what was run twice, if anything was
        runs = [run for run in session.records() if run.number >= SCHEDULERS]
    late = sorted(run.started - done["due"] for run in runs)
    each = len({run.number for run in runs})
    return {
        "schedules": size.schedules,
        "first_ms": late[0] * 1000,
        "p50_ms": late[len(late) // 2] * 1000,
        "last_ms": late[-1] * 1000,
        "cpu": spent,
        "put_rate": size.schedules / done["put"],
        "lost": size.schedules - each,
        "run_twice": len(runs) - each,
    }


TITLES = {
    "i": "tasks, no result",
    "j": "tasks, results kept",
    "k": "send, run, get",
    "l": "many at once",
    "m": "chord",
    "n": "schedules",
}
RUN: dict[str, Callable[[Peer, Size], Sample]] = {
    "i": tasks,
    "j": kept,
    "k": calls,
    "l": many,
    "m": chord,
    "n": schedule,
}
