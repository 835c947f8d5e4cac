"""taskflow's tasks on its embedded broker, one SQLite file."""

import atexit
import os
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import chain as joined

from benchmarks import origin
from benchmarks.probe import work
from benchmarks.sender import KEPT, Job
from taskflow import chord as chord_of
from taskflow import open_broker, schedules, task
from taskflow.broker import Broker
from taskflow.publisher import using
from taskflow.registry import default_registry
from taskflow.topology import declare

origin.check()
FIRST_OF_SCHEDULES = 1_000_000
TRIED = 200  # schedules that are put to know how long all will take
START = 6  # seconds from the last of them until they are due


@task(name="job", queue="jobs", result="1h" if KEPT else None)
def job(number: int, sent: float, seconds: float) -> int:
    return work(number, sent, seconds)


@task(name="total", queue="jobs", result="1h" if KEPT else None)
def total(numbers: list[int]) -> int:
    return sum(numbers)


def _broker() -> "closing[Broker]":
    return closing(open_broker(os.environ["BENCH_STORE"]))


def prepare() -> None:
    with _broker() as broker:
        declare(broker, default_registry)


def _sending() -> Broker:
    """Closed with the process, as the peers' connections are."""
    broker = open_broker(os.environ["BENCH_STORE"])
    atexit.register(broker.close)
    return broker


def enqueue(jobs: Iterable[Job]) -> None:
    with using(_sending()):
        for args in jobs:
            job.delay(*args)


def enqueue_batches(batches: Iterable[list[Job]]) -> None:
    with using(_sending()):
        job.send_many(joined.from_iterable(batches))


def call(jobs: Iterable[Job]) -> None:
    with _broker() as broker, using(broker):
        for args in jobs:
            assert job.delay(*args).get(timeout=30) == args[0]


def chord(members: int, stored: Callable[[], None]) -> int:
    with _broker() as broker, using(broker):
        plan = chord_of([job.s(number, 0.0, 0.0) for number in range(members)], total.s())
        result = plan.delay()
        stored()
        value: int = result.get(timeout=120)
        return value


def schedule(count: int) -> tuple[float, float]:
    """Put so many schedules, due in one second, when workers have had the time to start; answers
    the seconds it took, and when that is."""
    with _broker() as broker, using(broker):
        began = time.time()
        for number in range(min(TRIED, count)):
            _put(number, "0 0 0 * * *")
        each = (time.time() - began) / min(TRIED, count)
        due = int(time.time() + each * count * 1.25 + START)
        at, began = time.gmtime(due), time.time()
        for number in range(count):
            _put(number, f"{at.tm_sec} {at.tm_min} {at.tm_hour} * * *")
        return time.time() - began, due


def _put(number: int, cron: str) -> None:
    args = (FIRST_OF_SCHEDULES + number, 0.0, 0.0)
    schedules.put(f"s{number}", cron=cron, task=job, args=args)
