"""The sending side of every peer, always as a process of its own; prints one JSON sample a line.

    python -m benchmarks.sender MODULE prepare
    python -m benchmarks.sender MODULE one MESSAGES SECONDS
    python -m benchmarks.sender MODULE batches MESSAGES SECONDS
    python -m benchmarks.sender MODULE trickle MESSAGES GAP

MODULE is a peer. It has `enqueue(jobs)`, which sends one by one; where the peer can send many in
one go, `enqueue_batches(batches)`; where its store wants a schema, `prepare()`.
"""

import importlib
import json
import sys
import threading
import time
from collections.abc import Iterator

Job = tuple[int, float, float]
"""Number, when it was sent (monotonic seconds), and the seconds its handler waits."""
BATCH = 1000


class Stopwatch:
    """Runs from the second item asked for to `stop`: connecting is not counted."""

    def __init__(self) -> None:
        self._asked = 0
        self._wall = self._cpu = 0.0

    def ask(self) -> None:
        self._asked += 1
        if self._asked == 2:
            self._wall, self._cpu = time.monotonic(), time.process_time()

    def stop(self) -> tuple[float, float]:
        """Wall and CPU seconds."""
        return time.monotonic() - self._wall, time.process_time() - self._cpu


def one_by_one(messages: int, seconds: float, watch: Stopwatch) -> Iterator[Job]:
    for number in range(messages):
        watch.ask()
        yield number, 0.0, seconds


def in_batches(messages: int, seconds: float, watch: Stopwatch) -> Iterator[list[Job]]:
    size = min(BATCH, messages // 2)
    for first in range(0, messages, size):
        watch.ask()
        last = min(messages, first + size)
        yield [(number, 0.0, seconds) for number in range(first, last)]


def trickle(messages: int, gap: float, watch: Stopwatch) -> Iterator[Job]:
    pause = threading.Event()
    for number in range(messages):
        watch.ask()
        pause.wait(gap)
        yield number, time.monotonic(), 0.0


def main(module: str, verb: str, messages: str = "0", number: str = "0") -> None:
    peer = importlib.import_module(module)
    if verb == "prepare":
        getattr(peer, "prepare", lambda: None)()
        return
    watch, total, seconds = Stopwatch(), int(messages), float(number)
    counted = total - 1
    if verb == "one":
        peer.enqueue(one_by_one(total, seconds, watch))
    elif verb == "batches":
        peer.enqueue_batches(in_batches(total, seconds, watch))
        counted = total - min(BATCH, total // 2)
    else:
        peer.enqueue(trickle(total, seconds, watch))
    wall, cpu = watch.stop()
    print(json.dumps({"verb": verb, "messages": counted, "wall": wall, "cpu": cpu}))


if __name__ == "__main__":
    main(*sys.argv[1:])
