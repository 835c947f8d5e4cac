"""One measurement of workflows, in a process of its own: prints what it found as a line of JSON.

    python -m benchmarks.workflow_probe WHAT ADDRESS COUNT [LEASE]

`many` drains runs of three steps that wait already, `one` is one run of so many steps, `calls`
waits for the results of runs that `serve`, another process, runs. `hold` begins runs that do not
end, and `resume` goes on with them. `suspend` leaves runs waiting for a signal, `idle` is a worker
beside them, and `wake` tells some of them.
"""

import asyncio
import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

from benchmarks import origin
from taskflow import AsyncRun, Registry, Run, Worker, open_broker, workflow
from taskflow.broker import Broker
from taskflow.broker.change import Change, Put
from taskflow.broker.record import Record, RecordQuery
from taskflow.message import new_id
from taskflow.publisher import using
from taskflow.tasks.durable import STEP
from taskflow.tasks.run import RUN
from taskflow.topology import declare
from taskflow.worker.pool import Pool
from taskflow.workflows.workflow_result import WorkflowResult

Found = dict[str, float]
IDLE = 20.0
"""Seconds that a worker is watched which has nothing to do."""
WOKEN = 200
AT_ONCE = 1000

times: list[float] = []
"""When the function of each step began."""
counted = threading.Condition()


def step(number: int) -> int:
    """What a step does."""
    times.append(time.perf_counter())
    return number + 1


async def step_async(number: int) -> int:
    """The same, as a coroutine."""
    return step(number)


class Application:
    """The workflows that are measured, and a broker."""

    def __init__(self, address: str, lease: float) -> None:
        self.broker: Broker = open_broker(address)
        self.registry = registry = Registry()
        self.resumed: dict[str, float] = {}
        self.held = True

        @workflow(queue="three", name="three", registry=registry)
        def three(ctx: Run, number: int) -> int:
            for _ in range(3):
                number = ctx.step(step, number)
            return number

        @workflow(queue="three-async", name="three-async", registry=registry)
        async def three_async(ctx: AsyncRun, number: int) -> int:
            for _ in range(3):
                number = await ctx.step(step_async, number)
            return number

        @workflow(queue="long", name="long", registry=registry)
        def long(ctx: Run, count: int) -> int:
            number = 0
            for _ in range(count):
                number = ctx.step(step, number)
            return number

        @workflow(queue="held", name="held", visibility_timeout=lease, registry=registry)
        async def held(ctx: AsyncRun, number: int) -> int:
            await ctx.step(self._first, number)
            self.note(ctx.run or "")
            if self.held:
                await asyncio.Event().wait()
            return number

        @workflow(queue="waiting", name="waiting", keep="1h", registry=registry)
        def waiting(ctx: Run, number: int) -> float:
            return time.time() - (ctx.wait("go", type=float) or 0.0)

        self.three, self.three_async = three, three_async
        self.long, self.kept, self.waiting = long, held, waiting

    async def _first(self, number: int) -> int:
        return number

    def note(self, run: str) -> None:
        """A run has come past its first step."""
        with counted:
            self.resumed.setdefault(run, time.time())
            counted.notify_all()

    def work_until_done(self, queue: str, count: int) -> None:
        """A worker, as it is outside of benchmarks, until so many runs of a queue have ended."""
        pool = self.pool(queue, burst=False)
        thread = threading.Thread(target=pool.run, daemon=True)
        thread.start()
        while self.broker.counts(queue).handled < count:
            threading.Event().wait(0.01)
        pool.stop()
        thread.join()

    def pool(self, *queues: str, slots: int = 100, burst: bool = True) -> Pool:
        """Of a worker with the usual number of threads."""
        worker = Worker(self.broker, queues, registry=self.registry)
        return Pool(worker, burst=burst, async_concurrency=slots)


@contextmanager
def spent(found: Found) -> Iterator[None]:
    """Notes how long the block takes, and the CPU seconds of this process in it."""
    cpu, wall = time.process_time(), time.perf_counter()
    yield
    found |= {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}


def percentile(values: list[float], part: float) -> float:
    """Of sorted ones."""
    return sorted(values)[int(len(values) * part)]


def many(app: Application, count: int) -> Found:
    """Runs of three steps that wait when the worker begins, until the last result is kept."""
    found: Found = {}
    app.three.send_many([(number,) for number in range(count)])
    with spent(found):
        app.work_until_done("three", count)
    assert len(times) == 3 * count, len(times)
    return found | {"runs": count / found["wall"], "us": found["cpu"] / count * 1e6}


def many_async(app: Application, count: int) -> Found:
    """The same with coroutines, a hundred at once."""
    found: Found = {}
    app.three_async.send_many([(number,) for number in range(count)])
    with spent(found):
        app.work_until_done("three-async", count)
    return found | {"runs": count / found["wall"], "us": found["cpu"] / count * 1e6}


def one(app: Application, count: int) -> Found:
    """One run of many steps."""
    found: Found = {}
    pool = app.pool("long")
    app.long.delay(count)
    with spent(found):
        pool.run()
    gaps = [after - before for before, after in pairwise(times)]
    return {
        "steps": (count - 1) / (times[-1] - times[0]),
        "us": found["cpu"] / count * 1e6,
        "p50_ms": percentile(gaps, 0.5) * 1e3,
    }


def calls(app: Application, count: int) -> Found:
    """From the call to its result, one after the other."""
    took = []
    app.three.delay(0).get(60)
    for number in range(count):
        began = time.perf_counter()
        app.three.delay(number).get(60)
        took.append(time.perf_counter() - began)
    return {"p50_ms": percentile(took, 0.5) * 1e3, "p99_ms": percentile(took, 0.99) * 1e3}


def serve(app: Application, count: int) -> Found:
    """A worker that is ended by SIGTERM."""
    app.pool("three", burst=False).run()
    return {}


def hold(app: Application, count: int) -> Found:
    """A worker that begins runs, says so when all have begun, and is to be killed."""
    app.kept.send_many([(number,) for number in range(count)])
    pool = app.pool("held", slots=count, burst=False)
    threading.Thread(target=pool.run, daemon=True).start()
    with counted:
        counted.wait_for(lambda: len(app.resumed) >= count)
    print(json.dumps({"held": count}), flush=True)
    threading.Event().wait()
    return {}


def resume(app: Application, count: int) -> Found:
    """A worker that goes on with them; when the last one has come past what was kept, and when all
    had ended (epoch seconds)."""
    found: Found = {}
    app.held = False
    pool = app.pool("held", slots=count, burst=False)
    threading.Thread(target=pool.run, daemon=True).start()
    with spent(found):
        with counted:
            counted.wait_for(lambda: len(app.resumed) >= count)
        while app.broker.count_records("run", "held").get("done", 0) < count:
            threading.Event().wait(0.02)
    came = sorted(app.resumed.values())
    pool.stop()
    return {"first": came[0], "last": came[-1], "ended": time.time(), "cpu": found["cpu"]}


def suspend(app: Application, count: int) -> Found:
    """Runs that wait for a signal: one that a worker leaves so, and so many like it."""
    broker = app.broker
    pool = app.pool("waiting")
    first = app.waiting.delay(0).id
    pool.run()
    run = broker.records(RUN, [first])[first]
    (step,) = broker.list_records(RecordQuery(kind=STEP, label=first)).records
    assert run.state == "suspended", run

    def like(record: Record, id: str) -> Put:
        """The record of another run."""
        told = {
            name: text.replace(first, id)
            for name in ("key", "value", "parent", "label")
            if (text := getattr(record, name)) is not None
        }
        return Put(kind=record.kind, state=record.state, expected=0, **told)

    for begin in range(0, count, AT_ONCE):
        ids = [new_id(broker.clock.now(), broker.random) for _ in range(begin, begin + AT_ONCE)]
        records = [like(record, id) for id in ids for record in (run, step)]
        broker.apply([Change(records=records)], durable=False)[0].or_raise()
    return {"runs": count}


def idle(app: Application, count: int) -> Found:
    """CPU seconds of a worker that has nothing to do, once it has begun."""
    found: Found = {}
    pool = app.pool("three", "long", "held", "waiting", burst=False)
    threading.Thread(target=pool.run, daemon=True).start()
    threading.Event().wait(5.0)
    with spent(found):
        threading.Event().wait(IDLE)
    pool.stop()
    return found


def wake(app: Application, count: int) -> Found:
    """From the signal to the line after `ctx.wait`, in this process."""
    pool = app.pool("waiting", burst=False)
    threading.Thread(target=pool.run, daemon=True).start()
    page = app.broker.list_records(
        RecordQuery(kind=RUN, states=("suspended",), order="newest", limit=AT_ONCE)
    )
    keys = [record.key for record in page.records]
    took = []
    for key in random.sample(keys, min(WOKEN, len(keys))):
        run = WorkflowResult(key, returns=float)
        run.signal("go", time.time())
        took.append(run.get(60))
    pool.stop()
    return {"p50_ms": percentile(took, 0.5) * 1e3, "p99_ms": percentile(took, 0.99) * 1e3}


WHAT: dict[str, Callable[[Application, int], Found]] = {
    function.__name__: function
    for function in (many, many_async, one, calls, serve, hold, resume, suspend, idle, wake)
}


def main() -> None:
    """Measure."""
    origin.check()
    what, address, count, *lease = sys.argv[1:]
    app = Application(address, float(lease[0]) if lease else 30.0)
    declare(app.broker, app.registry)
    with using(app.broker):
        found = WHAT[what](app, int(count))
    print(json.dumps(found), flush=True)
    app.broker.close()
    os._exit(0)  # what does not end stays behind


if __name__ == "__main__":
    main()
