"""Dramatiq on Redis, its default middleware, and what keeps results where they are asked for. It
has no way to send a batch. Its group calls back when it is done, with no results."""

import logging
import os
from collections.abc import Callable, Iterable
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import GroupCallbacks
from dramatiq.rate_limits.backends import RedisBackend as Barriers
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks.probe import work
from benchmarks.sender import KEPT, Job

logging.getLogger("dramatiq").setLevel(logging.WARNING)
store = os.environ["BENCH_STORE"]
PATIENT = "?socket_timeout=300"  # redis-py 8 gives up after 5 s, while it waits for a result
broker = RedisBroker(url=store)
options: dict[str, Any] = {}
if KEPT:
    broker.add_middleware(Results(backend=RedisBackend(url=f"{store}{PATIENT}")))
    broker.add_middleware(GroupCallbacks(Barriers(url=store)))
    options = {"store_results": True}
dramatiq.set_broker(broker)
job = dramatiq.actor(work, actor_name="job", **options)


@dramatiq.actor(actor_name="done", **options)
def done() -> bool:
    return True


def enqueue(jobs: Iterable[Job]) -> None:
    for args in jobs:
        job.send(*args)


def call(jobs: Iterable[Job]) -> None:
    for args in jobs:
        assert job.send(*args).get_result(block=True, timeout=30_000) == args[0]


def chord(members: int, stored: Callable[[], None]) -> int:
    group = dramatiq.group([job.message(number, 0.0, 0.0) for number in range(members)])
    last = done.message()
    group.add_completion_callback(last)
    group.run()
    stored()
    assert last.get_result(block=True, timeout=150_000)
    return sum(group.get_results())  # nobody hands them to the callback
