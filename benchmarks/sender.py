"""The sending side of every peer, always as a process of its own; prints one JSON sample a line.

    python -m benchmarks.sender MODULE prepare
    python -m benchmarks.sender MODULE one MESSAGES SECONDS
    python -m benchmarks.sender MODULE batches MESSAGES SECONDS
    python -m benchmarks.sender MODULE trickle MESSAGES GAP
    python -m benchmarks.sender MODULE calls MESSAGES
    python -m benchmarks.sender MODULE chord MEMBERS
    python -m benchmarks.sender MODULE schedules COUNT

MODULE is a peer. It has `enqueue(jobs)`, which sends one by one; where the peer can send many in
one go, `enqueue_batches(batches)`; where its store wants a schema, `prepare()`. With results
(KEPT) it has `call(jobs)`, which waits for the result of each before it takes the next job, and
where it has chords `chord(members, stored)`: it calls `stored` when all is sent, and answers what
the body returned, the sum of the members' numbers. `schedule(count)` answers how many
seconds it took, and when (epoch seconds) all are due.
"""

import importlib
import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from types import ModuleType

Job = tuple[int, float, float]
"""Number, when it was sent (monotonic seconds), and the seconds its handler waits."""
BATCH = 1000
VARIABLE = "BENCH_RESULTS"
KEPT = os.environ.get(VARIABLE) == "kept"
"""Whether the results of jobs are stored."""
WARM_UP = 5  # calls that are not counted


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


def one_at_a_time(messages: int, watch: Stopwatch, seconds: list[float]) -> Iterator[Job]:
    """The next job when the one before has been answered; notes how long each took."""
    for number in range(messages):
        watch.ask()
        began = time.monotonic()
        yield number, began, 0.0
        seconds.append(time.monotonic() - began)


def spread(seconds: list[float]) -> dict[str, float]:
    """What most calls took, and the slowest, in milliseconds; the first ones are left out."""
    late = sorted(one * 1000 for one in seconds[WARM_UP:])
    slow = late[len(late) * 99 // 100]
    return {"p50_ms": statistics.median(late), "p99_ms": slow, "max_ms": late[-1]}


def build_chord(peer: ModuleType, members: int) -> dict[str, float]:
    """Seconds until all was stored, and until the body's result was there."""
    began, spent, marks = time.monotonic(), time.process_time(), [0.0]
    value = peer.chord(members, lambda: marks.append(time.monotonic()))
    wall = time.monotonic() - began
    if value != sum(range(members)):
        raise SystemExit(f"the body was given {value}; {sum(range(members))} was right")
    return {"wall": wall, "stored": marks[-1] - began, "cpu": time.process_time() - spent}


def put_schedules(peer: ModuleType, count: int) -> dict[str, float]:
    """How long it took to put them, and when they are due, on the monotonic clock."""
    seconds, due = peer.schedule(count)
    return {"put": seconds, "due": due - time.time() + time.monotonic()}


def main(module: str, verb: str, messages: str = "0", number: str = "0") -> None:
    peer = importlib.import_module(module)
    if verb == "prepare":
        getattr(peer, "prepare", lambda: None)()
        return
    watch, total, seconds = Stopwatch(), int(messages), float(number)
    if verb in ("chord", "schedules"):
        act = build_chord if verb == "chord" else put_schedules
        print(json.dumps(act(peer, total)))
        return
    counted, taken = total - 1, list[float]()
    if verb == "one":
        peer.enqueue(one_by_one(total, seconds, watch))
    elif verb == "batches":
        peer.enqueue_batches(in_batches(total, seconds, watch))
        counted = total - min(BATCH, total // 2)
    elif verb == "calls":
        peer.call(one_at_a_time(total, watch, taken))
    else:
        peer.enqueue(trickle(total, seconds, watch))
    wall, cpu = watch.stop()
    found = {"verb": verb, "messages": counted, "wall": wall, "cpu": cpu}
    print(json.dumps(found | (spread(taken) if taken else {})))


if __name__ == "__main__":
    main(*sys.argv[1:])
