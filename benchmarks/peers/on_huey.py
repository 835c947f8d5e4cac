"""Huey on Redis, or on a SQLite file (without fsync, as taskflow's durability=process).

Results off. Huey has no acknowledgements: what a killed worker held is lost. It cannot send a
batch.
"""

import os
from collections.abc import Iterable

from huey import Huey, RedisHuey, SqliteHuey

from benchmarks.probe import work
from benchmarks.sender import Job

store = os.environ["BENCH_STORE"]
huey: Huey
if store.startswith("redis:"):
    huey = RedisHuey("bench", url=store, results=False)
else:
    huey = SqliteHuey("bench", filename=store, fsync=False, results=False)
job = huey.task(name="job")(work)


def enqueue(jobs: Iterable[Job]) -> None:
    for args in jobs:
        job(*args)
