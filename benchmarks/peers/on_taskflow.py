"""taskflow on its embedded broker, one SQLite file."""

import atexit
import os
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks import origin
from benchmarks.probe import work
from benchmarks.sender import Job
from taskflow import open_broker, publish, publish_many, subscribe
from taskflow.broker import Broker
from taskflow.publisher import new_event
from taskflow.registry import default_registry
from taskflow.topology import declare

origin.check()


@dataclass
class Numbered:
    number: int
    sent: float
    seconds: float


@subscribe("job", queue="jobs", idempotent=os.environ.get("BENCH_IDEMPOTENT") != "no")
def handle(job: Numbered) -> None:
    work(job.number, job.sent, job.seconds)


def prepare() -> None:
    broker = open_broker(os.environ["BENCH_STORE"])
    declare(broker, default_registry)
    broker.close()


def _sending() -> Broker:
    """Closed with the process, as the peers' connections are."""
    broker = open_broker(os.environ["BENCH_STORE"])
    atexit.register(broker.close)
    return broker


def enqueue(jobs: Iterable[Job]) -> None:
    broker = _sending()
    for job in jobs:
        publish("job", Numbered(*job), broker=broker)


def enqueue_batches(batches: Iterable[list[Job]]) -> None:
    broker = _sending()
    for batch in batches:
        publish_many([new_event(broker, "job", Numbered(*job)) for job in batch], broker=broker)
