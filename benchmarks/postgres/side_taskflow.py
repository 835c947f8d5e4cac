"""taskflow's own worker pool, as its users run it; result: none kept."""

import os
import sys
import threading

from benchmarks.postgres.said import say
from taskflow import Event, Pool, Registry, Worker, open_broker, publish_many
from taskflow.topology import declare


def main(address: str, jobs: int) -> None:
    registry = Registry()
    done = threading.Event()
    handled = 0

    @registry.subscribe("bench.job", queue="bench")
    def job(event: Event[int]) -> None:
        nonlocal handled
        handled += 1
        if handled == jobs:
            done.set()

    broker = open_broker(address)
    declare(broker, registry)
    for start in range(0, jobs, 100):
        some = [
            Event(topic="bench.job", payload=n, id=f"{os.getpid()}-{n}", time=broker.clock.now())
            for n in range(start, start + 100)
        ]
        publish_many(some, broker=broker)
    pool = Pool(Worker(broker, registry=registry), concurrency=10, grace=5)
    runner = threading.Thread(target=pool.run)
    with say(jobs):
        runner.start()
        done.wait()
        pool.stop()
        runner.join()
    broker.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
