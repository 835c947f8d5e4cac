"""Workload (i): starting taskflow's server again, with a million messages stored and with none."""

import json
import statistics
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.wire.clocks import cpu_of
from benchmarks.wire.servers import BY_NAME, Server
from benchmarks.wire.workloads import Sample, Size

STANDARD = ("first", "second", "third")
FIFO = "lined.fifo"
BATCH, BODY, GROUPS = 1000, "x" * 200, 1000


def starts(size: Size) -> Sample:
    """Servers of a full and of an empty file take turns; each is killed, one of them with SIGTERM.

    Seconds from the command until CreateQueue is answered, and until ReceiveMessage is, on a
    standard and on the FIFO queue; the server's CPU seconds by then.
    """
    found: dict[int, list[dict[str, float]]] = {0: [], size.stored: []}
    with ExitStack() as stack:
        folders = {}
        for messages in found:
            folders[messages] = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            _fill(folders[messages], messages)
        for turn in range(size.starts):
            for messages in sorted(found, reverse=turn % 2 == 0):
                gently = turn == size.starts - 2
                found[messages].append(_start(folders[messages], messages > 0, gently))
    return {"starts": {str(messages): _median(some) for messages, some in found.items()}}


def _median(some: list[dict[str, float]]) -> dict[str, float]:
    received = [one["received"] for one in some]
    return {
        **{key: statistics.median(one[key] for one in some) for key in some[0]},
        "received_low": min(received),
        "received_high": max(received),
    }


def _fill(folder: Path, messages: int) -> None:
    from taskflow import open_broker
    from taskflow.message import Message

    broker = open_broker(f"sqlite:///{folder}/broker.db?durability=process")
    queues = (*STANDARD, FIFO)
    for queue in queues:
        broker.create_queue(queue)
        share = range(messages // len(queues))
        for first in range(0, len(share), BATCH):
            broker.send(
                queue,
                [
                    Message(
                        f"{queue} {number}",
                        BODY,
                        group=f"g{number % GROUPS}" if queue == FIFO else None,
                        deduplication_id=str(number) if queue == FIFO else None,
                    )
                    for number in share[first : first + BATCH]
                ],
            )
    broker.close()


def _start(folder: Path, full: bool, gently: bool) -> dict[str, float]:
    began = time.monotonic()
    with Server(BY_NAME["taskflow"], folder) as server:
        sample = {"startup": server.startup}
        for name, queue in (("received", STANDARD[1]), ("received_fifo", FIFO)):
            if len(_receive(server.port, queue)) != full:
                raise AssertionError(f"{queue} does not hold what was stored")
            sample[name] = time.monotonic() - began
        sample |= {"cpu": cpu_of([server.pid]), "memory": server.memory()}
        if gently:
            server.stop()
    return sample


def _receive(port: int, queue: str) -> list[Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/",
        json.dumps({"QueueUrl": f"http://127.0.0.1:{port}/000000000000/{queue}"}).encode(),
        {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": "AmazonSQS.ReceiveMessage",
        },
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: list[Any] = json.load(answer).get("Messages") or []
    return found
