"""What is measured: which job, with how much, and what a sample is made of."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.backlog import fill as fill_broker
from benchmarks.wire.servers import BY_NAME, ROOT, Kind, Server

Sample = dict[str, Any]
QUEUE = "waiting"
BATCHES = (1, 10)


class LoadFailed(Exception):
    """What the load's process said last."""


@dataclass(frozen=True)
class Size:
    """How much. Times are seconds; `wait_for` is the longest that a job may take."""

    connections: tuple[int, ...] = (1, 8, 64)
    seconds: float = 0.8
    bytes: int = 100
    blocks: int = 4
    requests: int = 64
    polls: int = 500
    poll_queues: int = 50
    wakes: int = 150
    poll_seconds: float = 8.0
    waiting: int = 100_000
    waiting_bytes: int = 1024
    fill_seconds: float = 20.0
    waiting_seconds: float = 6.0
    backlogs: tuple[int, ...] = (1_000, 100_000, 1_000_000)
    backlog_blocks: int = 12
    stored: int = 1_000_000
    starts: int = 7
    wait_for: float = 90.0


QUICK = Size(
    connections=(1, 8),
    seconds=0.4,
    blocks=2,
    requests=32,
    polls=100,
    poll_queues=10,
    wakes=50,
    poll_seconds=3.0,
    waiting=5_000,
    fill_seconds=5.0,
    waiting_seconds=2.0,
    backlogs=(1_000, 20_000),
    backlog_blocks=4,
    stored=20_000,
    starts=3,
)


def load(servers: Sequence[Server], job: str, within: float, **options: Any) -> Any:
    """Run a job of the load in a process of its own, for so many seconds at most; its sample."""
    order = {
        "job": job,
        "targets": [[server.port, server.pid] for server in servers],
        "options": options,
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.wire.load", json.dumps(order)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=within,
        check=False,
    )
    if done.returncode:
        raise LoadFailed((done.stderr.strip().splitlines() or ["it said nothing"])[-1][:200])
    return json.loads(done.stdout)


# ---- on servers that all run, in turns ----------------------------------------------------------
def start_up(server: Server, size: Size) -> Sample:
    """(a): from the command to the first answer, and what it weighs then."""
    return {"startup": server.startup, "memory": server.memory()}


def cycles(server: Server, size: Size) -> Sample:
    """(b): send, receive, delete, by connections and batch."""
    sample: Sample = {}
    for connections in size.connections:
        for batch in BATCHES if connections <= 8 else (1,):
            found = load(
                [server],
                "cycles",
                size.wait_for,
                connections=connections,
                batch=batch,
                seconds=size.seconds,
                size=size.bytes,
            )
            sample |= {f"c{connections}_b{batch}_{key}": value for key, value in found.items()}
    return sample


def operations(server: Server, size: Size) -> Sample:
    """(c): each operation by itself, on a queue that is empty before."""
    (found,) = load(
        [server],
        "operations",
        size.wait_for,
        urls=[""],
        connections=8,
        requests=size.requests,
        blocks=size.blocks,
        seconds=size.waiting_seconds,
        size=size.bytes,
    )
    return found  # type: ignore[no-any-return]


def fan_out(server: Server, size: Size) -> Sample:
    """(d): SNS to one queue, to ten, and to ten that want the bare message."""
    sample: Sample = {}
    for name, queues, raw in (("q1", 1, False), ("q10", 10, False), ("q10raw", 10, True)):
        found = load(
            [server],
            "fan_out",
            size.wait_for,
            queues=queues,
            raw=raw,
            connections=8,
            seconds=size.seconds,
            size=size.bytes,
        )
        sample |= {f"{name}_{key}": value for key, value in found.items()}
    return sample


def with_boto3(server: Server, size: Size) -> Sample:
    """(e): the cycles of (b) through boto3, one client."""
    sample: Sample = {}
    for batch in BATCHES:
        found = load(
            [server], "boto3", size.wait_for, batch=batch, seconds=size.seconds, size=size.bytes
        )
        sample |= {f"b{batch}_{key}": value for key, value in found.items()}
    return sample


def parked(server: Server, size: Size) -> Sample:
    """(f): wake-ups among parked long polls."""
    found = load(
        [server],
        "parked",
        size.wait_for,
        polls=size.polls,
        queues=size.poll_queues,
        wakes=size.wakes,
        seconds=size.poll_seconds,
        size=size.bytes,
    )
    return found  # type: ignore[no-any-return]


# ---- on servers of their own --------------------------------------------------------------------
def waiting(kind: Kind, size: Size) -> Sample:
    """(g): fill a queue, weigh the server, then the operations of (c) with all that waiting."""
    with Server(kind) as server:
        before = server.memory()
        filled = load(
            [server],
            "fill",
            size.fill_seconds + 60,
            messages=size.waiting,
            size=size.waiting_bytes,
            connections=8,
            seconds=size.fill_seconds,
        )
        url = filled.pop("url")
        grown = server.memory() - before
        (found,) = load(
            [server],
            "operations",
            size.wait_for,
            urls=[url],
            connections=8,
            requests=16,
            blocks=size.blocks,
            seconds=size.waiting_seconds,
            size=size.waiting_bytes,
        )
    scale = 100_000 / filled["filled"]
    return {**filled, "grown": grown, "grown_per_100k": grown * scale, **found}


def backlog(size: Size) -> Sample:
    """(h): taskflow alone: the same operations on three servers with ever more waiting."""
    from contextlib import ExitStack
    from itertools import count

    from taskflow import QueueSettings, open_broker

    ids = count()
    with ExitStack() as stack:
        servers = []
        for messages in size.backlogs:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            broker = open_broker(f"sqlite:///{folder}/broker.db?durability=process")
            broker.create_topic("job")
            broker.create_queue(QUEUE, QueueSettings())
            broker.subscribe("job", QUEUE)
            fill_broker(broker, messages, ids)
            assert broker.counts(QUEUE).visible == messages
            broker.close()
            servers.append(stack.enter_context(Server(BY_NAME["taskflow"], folder)))
        found = load(
            servers,
            "operations",
            size.wait_for,
            urls=[f"http://127.0.0.1:{server.port}/000000000000/{QUEUE}" for server in servers],
            connections=8,
            requests=size.requests,
            blocks=size.backlog_blocks,
            seconds=size.wait_for / 2,
            size=size.bytes,
        )
    return {"backlogs": dict(zip(map(str, size.backlogs), found, strict=True))}


TITLES = {
    "a": "start-up",
    "b": "send, receive, delete",
    "c": "single operations",
    "d": "fan-out",
    "e": "boto3",
    "f": "parked polls",
    "g": "100,000 waiting",
    "h": "cost against backlog",
    "i": "start with a million waiting",
}
IN_TURNS = {
    "a": start_up,
    "b": cycles,
    "c": operations,
    "d": fan_out,
    "e": with_boto3,
    "f": parked,
}
"""The others have servers of their own and are measured once."""
