"""Many parked long polls: how soon one of them is answered after a message for it is sent."""

import asyncio
import time
from collections import deque

from benchmarks.wire.client import Connection, Queue, Refused, create_queue, receipts_of
from benchmarks.wire.clocks import Meter, quantiles
from benchmarks.wire.jobs import Sample, Target, fresh_name

WAIT = 20
SETTLE = 1.5  # seconds until every poll has arrived
GAP = 0.01  # seconds after each wake-up, in which its poll deletes and parks again
GIVE_UP = 10.0  # seconds for one wake-up


class Polls:
    """Connections that poll all the time, the same number on each of some queues."""

    def __init__(self, target: Target, queues: list[Queue], each: int) -> None:
        self._target = target
        self._arrivals = {queue.url: asyncio.Queue[float]() for queue in queues}
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks = [
            asyncio.ensure_future(self._poll(queue)) for queue in queues for _ in range(each)
        ]

    async def _poll(self, queue: Queue) -> None:
        client = Connection(self._target.port)
        request = queue.poll(10, WAIT)
        try:
            while True:
                receipts = receipts_of(await client.ask(request))
                if receipts:
                    self._arrivals[queue.url].put_nowait(time.perf_counter())
                    await client.ask(queue.delete(receipts, 10))
        except Exception as error:
            if not self._broken.done():
                self._broken.set_exception(error)
        finally:
            client.close()

    async def arrival(self, queue: Queue) -> float:
        """When the next answer with a message came. Raises what ended a poll."""
        found = asyncio.ensure_future(self._arrivals[queue.url].get())
        either = (found, self._broken)
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED, timeout=GIVE_UP)
        if self._broken.done():
            self._broken.result()
        if not found.done():
            found.cancel()
            raise Refused(f"no poll was answered within {GIVE_UP:.0f} s")
        return found.result()

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def pause(seconds: float) -> None:
    """Let the polls arrive."""
    loop = asyncio.get_running_loop()
    passed = loop.create_future()
    loop.call_later(seconds, passed.set_result, None)
    await passed


async def parked(
    target: Target, *, polls: int, queues: int, wakes: int, seconds: float, size: int
) -> Sample:
    """Polls wait on some queues; one connection works on another queue all the time; a message
    is sent to one of the queues, its poll is answered, and so on.

    A wake-up is timed from the writing of SendMessage to the poll's answer. `idle_` is a
    SendMessage before anything else happens; `share` the CPU of the server while all polls wait.
    """
    sender = Connection(target.port)
    body = "x" * size
    made = [await create_queue(sender, target.port, fresh_name(), body) for _ in range(queues)]
    other = await create_queue(sender, target.port, fresh_name(), body)
    idle = []
    for _ in range(wakes):
        idle.append(await _time(sender, other.send[1]))
        await pause(GAP)
    meter = Meter([target.pid])
    waiting = Polls(target, made, polls // queues)
    worker = asyncio.ensure_future(pause(0))
    try:
        await pause(SETTLE)
        meter.start()
        await pause(1.0)
        meter.stop()
        quiet = await _wake(waiting, sender, made, wakes, seconds / 2)
        worker = asyncio.ensure_future(_work(Connection(target.port), other))
        busy = await _wake(waiting, sender, made, wakes, seconds / 2)
        if worker.done():
            worker.result()
    finally:
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        await waiting.end()
        sender.close()
    return {
        **quantiles(idle, "idle_"),
        **quantiles(quiet, "quiet_"),
        **quantiles(busy, "busy_"),
        "wakes": len(busy),
        "share": meter.cpu / meter.wall,
    }


async def _wake(
    waiting: Polls, sender: Connection, queues: list[Queue], wakes: int, seconds: float
) -> list[float]:
    took: list[float] = []
    until = time.perf_counter() + seconds
    turn = deque(queues)
    while len(took) < wakes and time.perf_counter() < until:
        queue = turn[0]
        turn.rotate(1)
        since = time.perf_counter()
        arrival = asyncio.ensure_future(waiting.arrival(queue))
        await sender.ask(queue.send[1])
        took.append(await arrival - since)
        await pause(GAP)
    return took


async def _work(client: Connection, queue: Queue) -> None:
    try:
        while True:
            await client.ask(queue.send[1])
            receipts = receipts_of(await client.ask(queue.receive[1]))
            if receipts:
                await client.ask(queue.delete(receipts, 1))
    finally:
        client.close()


async def _time(client: Connection, request: bytes) -> float:
    since = time.perf_counter()
    await client.ask(request)
    return time.perf_counter() - since
