"""RQ on Redis with SimpleWorker: no fork for each job, so RQ at its fastest. Results off."""

import os
from collections.abc import Iterable

from redis import Redis
from rq import Queue

from benchmarks.probe import work
from benchmarks.sender import Job

queue = Queue("bench", connection=Redis.from_url(os.environ["BENCH_STORE"]))


def enqueue(jobs: Iterable[Job]) -> None:
    for args in jobs:
        queue.enqueue_call(work, args, result_ttl=0)


def enqueue_batches(batches: Iterable[list[Job]]) -> None:
    for batch in batches:
        queue.enqueue_many([Queue.prepare_data(work, args, result_ttl=0) for args in batch])
