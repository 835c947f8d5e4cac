"""Procrastinate's worker, ten jobs at a time; what is done is deleted, as a queue does."""

import asyncio
import sys

import procrastinate

from benchmarks.postgres.said import say

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=sys.argv[1], max_size=12))


@app.task(name="job", queue="bench")
async def job(number: int) -> None:
    """Does nothing."""


async def main(jobs: int) -> None:
    async with app.open_async():
        if not await app.check_connection_async():
            await app.schema_manager.apply_schema_async()
        for start in range(0, jobs, 100):
            await job.batch_defer_async(*({"number": n} for n in range(start, start + 100)))
        with say(jobs):
            await app.run_worker_async(
                queues=["bench"],
                concurrency=10,
                wait=False,
                delete_jobs="always",
                install_signal_handlers=False,
            )


asyncio.run(main(int(sys.argv[2])))
