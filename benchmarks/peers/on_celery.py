"""Celery on Redis. A result backend only to keep results; JSON; acknowledged early, as is its
default."""

import os
from collections.abc import Callable, Iterable

import celery
from celery import Celery

from benchmarks.probe import work
from benchmarks.sender import BATCH, KEPT, Job

store = os.environ["BENCH_STORE"]
app = Celery("bench", broker=store, backend=store if KEPT else None)
app.conf.update(task_ignore_result=not KEPT, broker_connection_retry_on_startup=True)
job = app.task(name="job")(work)


@app.task(name="total")
def total(numbers: list[int]) -> int:
    return sum(numbers)


def enqueue(jobs: Iterable[Job]) -> None:
    for args in jobs:
        job.apply_async(args)


def enqueue_batches(batches: Iterable[list[Job]]) -> None:
    """Celery itself has no batches; its transport has (kombu 5.7, a Redis pipeline)."""
    with app.producer_pool.acquire() as producer:
        for batch in batches:
            with producer.batch(BATCH):
                for args in batch:
                    job.apply_async(args, producer=producer)


def call(jobs: Iterable[Job]) -> None:
    for args in jobs:
        assert job.apply_async(args).get(timeout=30) == args[0]


def chord(members: int, stored: Callable[[], None]) -> int:
    header = [job.s(number, 0.0, 0.0) for number in range(members)]
    result = celery.chord(header, total.s()).apply_async()
    stored()
    value: int = result.get(timeout=150)
    return value
