"""Procrastinate on PostgreSQL, async handlers, LISTEN/NOTIFY on (its default)."""

import os
from collections.abc import Iterable

from procrastinate import App, PsycopgConnector, SyncPsycopgConnector

from benchmarks.probe import work_async
from benchmarks.sender import Job

address = os.environ["BENCH_STORE"]
app = App(connector=PsycopgConnector(conninfo=address))
job = app.task(name="job")(work_async)
NAMES = ("number", "sent", "seconds")


def prepare() -> None:
    with app.replace_connector(SyncPsycopgConnector(conninfo=address)) as sync, sync.open():
        sync.schema_manager.apply_schema()


def enqueue(jobs: Iterable[Job]) -> None:
    with app.replace_connector(SyncPsycopgConnector(conninfo=address)) as sync, sync.open():
        for args in jobs:
            job.defer(**dict(zip(NAMES, args, strict=True)))


def enqueue_batches(batches: Iterable[list[Job]]) -> None:
    with app.replace_connector(SyncPsycopgConnector(conninfo=address)) as sync, sync.open():
        for batch in batches:
            job.batch_defer(*(dict(zip(NAMES, args, strict=True)) for args in batch))
