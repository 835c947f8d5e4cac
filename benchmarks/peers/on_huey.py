"""Huey on Redis, or on a SQLite file (without fsync, as taskflow's durability=process).

Results off, unless they are asked for: then waited for by BLPOP on Redis, looked for each
millisecond on SQLite. Huey has no acknowledgements: what a killed worker held is lost. It cannot
send a batch.
"""

import os
from collections.abc import Callable, Iterable

from huey import Huey, RedisHuey, SqliteHuey
from huey import chord as chord_of

from benchmarks.probe import work
from benchmarks.sender import KEPT, Job

store = os.environ["BENCH_STORE"]
PATIENT = "?socket_timeout=300"  # redis-py 8 gives up after 5 s, while it waits for a result
huey: Huey
if store.startswith("redis:"):
    huey = RedisHuey("bench", url=f"{store}{PATIENT}", results=KEPT, notify_result=KEPT)
else:
    huey = SqliteHuey("bench", filename=store, fsync=False, results=KEPT)
job = huey.task(name="job")(work)
WAITING = {"blocking": True, "backoff": 1.0, "max_delay": 0.001}


@huey.task(name="total")
def total(numbers: list[int]) -> int:
    return sum(numbers)


def enqueue(jobs: Iterable[Job]) -> None:
    for args in jobs:
        job(*args)


def call(jobs: Iterable[Job]) -> None:
    for args in jobs:
        assert job(*args).get(timeout=30, **WAITING) == args[0]


def chord(members: int, stored: Callable[[], None]) -> int:
    header = [job.s(number, 0.0, 0.0) for number in range(members)]
    result = huey.enqueue(chord_of(header, total.s()))
    stored()
    value: int = result.get(timeout=150, **WAITING)
    return value
