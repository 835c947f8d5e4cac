"""PgQueuer's worker over asyncpg, its quickest driver, in batches of ten."""

import asyncio
import sys

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.queries import Queries
from pgqueuer.types import QueueExecutionMode

from benchmarks.postgres.said import say


async def main(address: str, jobs: int) -> None:
    connection = await asyncpg.connect(address)
    driver = AsyncpgDriver(connection)
    queries = Queries(driver)
    if not await queries.schema_is_installed():
        await queries.install()
    for start in range(0, jobs, 100):
        await queries.enqueue(
            ["job"] * 100, [b"%d" % n for n in range(start, start + 100)], [0] * 100
        )
    queue = PgQueuer(driver)

    @queue.entrypoint("job")
    async def job(found: object) -> None:
        """Does nothing."""

    with say(jobs):
        await queue.run(batch_size=10, mode=QueueExecutionMode.drain)
    await connection.close()


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
