"""Dramatiq on Redis, its default middleware. It has no way to send a batch."""

import logging
import os
from collections.abc import Iterable

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.probe import work
from benchmarks.sender import Job

logging.getLogger("dramatiq").setLevel(logging.WARNING)
dramatiq.set_broker(RedisBroker(url=os.environ["BENCH_STORE"]))
job = dramatiq.actor(work, actor_name="job")


def enqueue(jobs: Iterable[Job]) -> None:
    for args in jobs:
        job.send(*args)
