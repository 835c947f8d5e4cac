"""Taskiq on a Redis list (no acknowledgements), async handlers, uvloop; a result backend only to
keep results, looked at each millisecond (its default is 0.2 s)."""

import asyncio
import os
from collections.abc import Iterable

import uvloop
from taskiq import AsyncBroker
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

from benchmarks.probe import work_async
from benchmarks.sender import KEPT, Job

store = os.environ["BENCH_STORE"]
broker: AsyncBroker = ListQueueBroker(store, max_connection_pool_size=10)
if KEPT:
    broker = broker.with_result_backend(RedisAsyncResultBackend(store))
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


def call(jobs: Iterable[Job]) -> None:
    uvloop.run(_call(jobs))


async def _call(jobs: Iterable[Job]) -> None:
    await broker.startup()
    for args in jobs:
        result = await (await job.kiq(*args)).wait_result(check_interval=0.001, timeout=30)
        assert result.return_value == args[0]
    await broker.shutdown()
