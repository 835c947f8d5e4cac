"""taskflow alone: the cost of receiving and acknowledging a message, by how many wait.

    python -m benchmarks.backlog 1000 100000 1000000

Prints one JSON sample: microseconds a message, the median of blocks that take turns.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from benchmarks import origin
from taskflow import Broker, QueueSettings, open_broker
from taskflow.broker import Finish
from taskflow.message import Message

BLOCKS, RECEIVES, BATCH, FILL = 25, 20, 10, 5_000
REMEMBER = 3600.0
BODY = '{"number": 1, "sent": 0.0, "seconds": 0.0}'


def fill(broker: Broker, messages: int, ids: Iterator[int]) -> None:
    for first in range(0, messages, FILL):
        some = range(min(FILL, messages - first))
        broker.publish("job", [Message(f"{next(ids):032}", BODY) for _ in some])


def block(broker: Broker) -> float:
    """Seconds a message, as a worker does it: receive, look for finished ids, acknowledge."""
    since = time.perf_counter()
    for _ in range(RECEIVES):
        got = broker.receive("jobs", limit=BATCH)
        broker.finished("jobs", {(one.id, one.topic) for one in got})
        assert all(broker.delete([Finish(one, REMEMBER) for one in got]))
    return (time.perf_counter() - since) / (RECEIVES * BATCH)


def main(sizes: list[int]) -> None:
    origin.check()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        ids, brokers = count(), []
        for size in sizes:
            address = f"sqlite:///{Path(folder) / str(size)}.db?durability=process"
            broker = open_broker(address)
            broker.create_topic("job")
            broker.create_queue("jobs", QueueSettings())
            broker.subscribe("job", "jobs")
            fill(broker, size, ids)
            assert broker.counts("jobs").visible == size
            broker.close()  # what the filling left behind is written down, not measured
            brokers.append(open_broker(address))
        costs: list[list[float]] = [[] for _ in sizes]
        for turn in range(BLOCKS + 2):
            order = [(turn + place) % len(sizes) for place in range(len(sizes))]
            for which in order:
                cost = block(brokers[which])
                if turn >= 2:
                    costs[which].append(cost)
                fill(brokers[which], RECEIVES * BATCH, ids)
        for broker in brokers:
            broker.close()
    medians = [statistics.median(some) * 1e6 for some in costs]
    print(json.dumps(dict(zip(map(str, sizes), medians, strict=True))))


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]])
