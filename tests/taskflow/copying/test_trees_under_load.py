"""Runs are moved while workers of both brokers run them, in threads and for real: workflows with
steps, signals, sleeps and children, and chords."""

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from taskflow import Broker, Pool, Registry, Result, Run, Worker, chord, open_broker, task, workflow
from taskflow.broker.record import RecordQuery
from taskflow.brokers.copying.copy import Copy
from taskflow.publisher import using
from taskflow.tasks.durable import STEP
from taskflow.tasks.run import RUN
from taskflow.tasks.run_trees import RunTrees
from taskflow.testing.manual_clock import REAL_LIMIT
from taskflow.workflows.signals import send_signal
from tests.postgres_server import PostgresServer

FLOWS = 24
ROUNDS = 60  # of a second or so each; three are enough
pytestmark = pytest.mark.slow


class Load:
    """Somebody who calls and signals, and workers at both brokers."""

    def __init__(self, source: Broker, target: Broker) -> None:
        self.source, self.target = source, target
        self.made: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.registry = registry = Registry()

        @task(registry=registry, name="load.add", queue="sums", result="1d")
        def add(a: int) -> int:
            self.note(f"add {a}")
            return a

        @task(registry=registry, name="load.total", queue="sums", result="1d")
        def total(values: list[int]) -> int:
            self.note(f"total {values}")
            return sum(values)

        @workflow(registry=registry, name="load.flow", queue="flows")
        def flow(n: int, ctx: Run) -> int:
            found = ctx.step(self.note, f"first {n}")
            ctx.sleep(0.05)
            found += ctx.step(self.note, f"second {n}")
            found += ctx.wait("go")
            found += sum(ctx.map(add, [100 * n + at for at in range(4)], limit=2))
            return int(found + ctx.step(self.note, f"last {n}"))

        self.add, self.total, self.flow = add, total, flow
        self.results: dict[str, int] = {}
        self._pools = [
            Pool(Worker(one, registry=registry), concurrency=3) for one in (source, target)
        ]
        self._threads = [threading.Thread(target=one.run) for one in self._pools]

    def note(self, what: str) -> int:
        """A step's function."""
        with self._lock:
            self.made[what] += 1
        return 1

    def begin(self) -> None:
        """Call everything at the one broker, and let both work."""
        with using(self.source):
            for n in range(FLOWS):
                self.results[self.flow.delay(n).id] = 4 + sum(100 * n + at for at in range(4))
                values = [10_000 + 10 * n + at for at in range(3)]
                plan = chord([self.add.s(one) for one in values], self.total.s()).delay()
                self.results[plan.id] = sum(values)
        for one in self._threads:
            one.start()

    def _signal(self) -> None:
        """Tell each workflow, wherever it is: between the two it is at neither."""
        for id in list(self.results)[::2]:
            while not send_signal(self.source, id, "go", 1, id="one"):
                if send_signal(self.target, id, "go", 1, id="one"):
                    break
                self.target.wait_record(RUN, id, 0, 1)

    def copy(self) -> int:
        """Again and again, until the one broker has none any more. Nobody is signalled before some
        are there: so they live still."""
        moved, signals = 0, threading.Thread(target=self._signal)
        for _ in range(ROUNDS):
            if not sum(self.source.count_records(RUN).values()):
                return moved
            copy = Copy(self.source, self.target, trees=[RunTrees()])
            copy.run(wait=1)
            moved += sum(one.moved for one in copy.trees.tallies)
            if moved and signals not in self._threads:
                self._threads.append(signals)
                signals.start()
        left = self.source.list_records(RecordQuery(kind=RUN)).records
        waiting = {name: self.source.peek(name) for name in self.source.queues()}
        pytest.fail(f"signals go on: {signals.is_alive()}; left: {left}; messages: {waiting}")

    def end(self) -> None:
        """Let all workers go."""
        for one in self._pools:
            one.stop()
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize(
    "way", ["file>server", "server>file", "file>file", "file>files", "files>file", "files>server"]
)
def test_each_run_ends_and_no_step_is_made_twice(
    tmp_path: Path, postgres: PostgresServer, way: str
) -> None:
    names = way.split(">")
    addresses = [
        postgres.address()
        if name == "server"
        else f"sqlite:///{tmp_path}/{at}.db{'?shards=3' if name == 'files' else ''}"
        for at, name in enumerate(names)
    ]
    source, target = (open_broker(one) for one in addresses)
    try:
        load = Load(source, target)
        load.begin()
        moved = load.copy()
        values = {id: Result[Any](id, broker=target).get(REAL_LIMIT) for id in load.results}
        load.end()
        assert moved == len(values), "each, once"
        assert values == load.results
        assert set(load.made.values()) == {1}
        assert len(load.made) == FLOWS * (3 + 4 + 3 + 1)
        assert not any(one.peek(name) for one in (source, target) for name in one.queues())
        steps = target.list_records(RecordQuery(kind=STEP, limit=1000)).records
        assert len(steps) == len({one.key for one in steps})
        assert source.list_records(RecordQuery(kind=STEP)).records == []
    finally:
        source.close()
        target.close()
        postgres.empty()
