"""The server does the broker's upkeep, from time to time."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from taskflow.broker import Broker
from taskflow.broker.change import Change, Put
from taskflow.errors import BrokerUnavailable
from taskflow.server.backend import Backend
from taskflow.server.chores import Chores
from taskflow.server.waiting import Waiting
from taskflow.testing import FaultBroker, ManualClock


def test_what_has_expired_goes_and_a_failure_is_outlived(
    taskflow_broker: Broker, taskflow_clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    start = taskflow_clock.now()
    puts = [Put(kind="run", key=str(n), value="", expires_at=start + 5) for n in range(3)]
    taskflow_broker.apply([Change(records=puts)])
    broker = FaultBroker(taskflow_broker)
    broker.fail("upkeep", 2, error=BrokerUnavailable("the disk is slow"))

    def called(parked: int, calls: int) -> bool:
        return parked > 0 and broker.calls["upkeep"] >= calls

    async def serve() -> None:
        waiting = Waiting(broker)
        waiting.start()
        with ThreadPoolExecutor(1) as threads:
            backend = Backend(broker, waiting, threads, "1", "eu")
            task = asyncio.create_task(Chores(backend).run())
            for calls in (1, 2, 3):
                await asyncio.to_thread(taskflow_clock.wait_until, partial(called, calls=calls))
                taskflow_clock.advance(10)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        waiting.close()

    asyncio.run(serve())
    assert "the upkeep failed, will try again: the disk is slow" in caplog.text
    count = taskflow_broker.store._database.connection.execute("SELECT count(*) FROM record").get  # type: ignore[attr-defined]
    assert count == 0
