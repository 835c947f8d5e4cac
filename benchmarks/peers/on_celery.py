"""Celery on Redis. No result backend; JSON; acknowledged early, as is its default."""

import os
from collections.abc import Iterable

from celery import Celery

from benchmarks.probe import work
from benchmarks.sender import BATCH, Job

app = Celery("bench", broker=os.environ["BENCH_STORE"])
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)
job = app.task(name="job")(work)


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
