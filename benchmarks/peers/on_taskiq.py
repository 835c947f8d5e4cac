"""Taskiq on a Redis list (no acknowledgements), async handlers, uvloop, no result backend."""

import asyncio
import os
from collections.abc import Iterable

import uvloop
from taskiq_redis import ListQueueBroker

from benchmarks.probe import work_async
from benchmarks.sender import Job

broker = ListQueueBroker(os.environ["BENCH_STORE"], max_connection_pool_size=10)
job = broker.task(task_name="job")(work_async)


def enqueue(jobs: Iterable[Job]) -> None:
    uvloop.run(_enqueue(jobs))


async def _enqueue(jobs: Iterable[Job]) -> None:
    await broker.startup()
    for args in jobs:
        await job.kiq(*args)
    await broker.shutdown()


def enqueue_batches(batches: Iterable[list[Job]]) -> None:
    """Taskiq has no batches; many sends at once over ten connections come nearest."""
    uvloop.run(_enqueue_batches(batches))


async def _enqueue_batches(batches: Iterable[list[Job]]) -> None:
    await broker.startup()
    for batch in batches:
        await asyncio.gather(*(job.kiq(*args) for args in batch))
    await broker.shutdown()
