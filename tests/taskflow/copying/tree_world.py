"""Tasks and workflows of each kind, with runs of them in each state."""

from collections import Counter
from dataclasses import asdict, replace
from typing import Any

from taskflow import Broker, Registry, Result, Run, Worker, chord, task, workflow
from taskflow.broker.record import Record, RecordQuery
from taskflow.brokers.copying.copy import Copy
from taskflow.brokers.copying.tree_tally import TreeTally
from taskflow.publisher import using
from taskflow.scheduling.schedule_trees import ScheduleTrees
from taskflow.tasks.durable import SIGNAL, STEP
from taskflow.tasks.preparing import key_of
from taskflow.tasks.run import RUN
from taskflow.tasks.run_trees import RunTrees
from taskflow.testing import ManualClock, drain
from taskflow.testing import Run as Attempt
from taskflow.workflows.signals import send_signal

KINDS = (RUN, STEP, SIGNAL, "sweep", "progress", "schedule")
KEY = "tests.keyed"


class TreeWorld:
    """What is called, and how often each step was made."""

    def __init__(self) -> None:
        self.registry = registry = Registry()
        self.effects: Counter[str] = Counter()

        @task(registry=registry, name="tests.add", queue="sums", result="1d")
        def add(a: int, b: int = 1) -> int:
            self.effects[f"add {a}"] += 1
            return a + b

        @task(registry=registry, name="tests.total", queue="sums", result="1d")
        def total(values: list[int]) -> int:
            return sum(values)

        @task(registry=registry, name="tests.fails", queue="sums", result="1d", retries=0)
        def fails() -> None:
            raise ValueError("so it is")

        @task(registry=registry, name=KEY, queue="keyed", result="1d")
        def keyed(n: int) -> int:
            return n

        @task(registry=registry, name="tests.lined", queue="lined.fifo", result="1d")
        def lined(n: int) -> int:
            self.effects[f"lined {n}"] += 1
            return n

        @workflow(registry=registry, name="tests.flow", queue="flows")
        def flow(name: str, ctx: Run) -> int:
            first = ctx.step(self.effect, f"{name} first")
            told = ctx.wait("go")
            ctx.sleep(3600)
            parts = ctx.map(add, [10, 20, 30], limit=2)
            return int(ctx.step(self.effect, f"{name} last") + first + told + sum(parts))

        self.add, self.total, self.fails, self.keyed = add, total, fails, keyed
        self.flow, self.lined = flow, lined

    def effect(self, name: str) -> int:
        """A step's function."""
        self.effects[name] += 1
        return 1

    def declare(self, broker: Broker) -> None:
        """The queues of all of it."""
        Worker(broker, registry=self.registry)

    def work(self, broker: Broker) -> list[Attempt]:
        """Run what is due."""
        found: list[Attempt] = []
        while True:
            Worker(broker, registry=self.registry).tend()
            some = drain(broker, self.registry, raise_errors=False)
            found += some
            if not some:
                return found

    def fill(self, broker: Broker) -> dict[str, Result[Any]]:
        """Runs of which none is in flight: ended, waiting, asleep."""
        self.declare(broker)
        with using(broker):
            found: dict[str, Result[Any]] = {
                "done": self.add.delay(1),
                "failed": self.fails.delay(),
                "flow": self.flow.delay("a"),
                "asleep": self.flow.delay("b"),
                "told": self.flow.options(id="order-5/x").delay("c"),
            }
            self.work(broker)
            send_signal(broker, found["asleep"].id, "go", 5)
            self.work(broker)
            send_signal(broker, found["told"].id, "other", {"n": 1})
            found |= {
                "waiting": self.add.delay(2),
                "later": self.add.options(delay=7200).delay(3),
                "soon": self.add.options(delay=60).delay(4),
                "keyed": self.keyed.options(key="k").delay(7),
                "chord": chord([self.add.s(n) for n in (100, 200, 300)], self.total.s()).delay(),
            }
            for n in range(3):
                found[f"lined {n}"] = self.lined.options(group="g").delay(n)
        return found

    def finish(self, broker: Broker, found: dict[str, Result[Any]]) -> None:
        """Let all that lives at a broker end as it should."""
        for name in ("flow", "told"):
            assert send_signal(broker, found[name].id, "go", 5)
        self.work(broker)
        for _ in range(3):  # what sleeps for an hour, what is delayed for two
            assert isinstance(broker.clock, ManualClock)
            broker.clock.advance(3600)
            self.work(broker)
        ends = {name: Result(one.id, broker=broker) for name, one in found.items()}
        values = {name: one.get(0) for name, one in ends.items() if name != "failed"}
        assert ends["failed"].state == "failed"
        flows = dict.fromkeys(("flow", "asleep", "told"), 70)
        assert values == flows | {
            **{"done": 2, "waiting": 3, "later": 4, "soon": 5, "keyed": 7, "chord": 603},
            **{f"lined {n}": n for n in range(3)},
        }
        assert [n for name, n in self.effects.items() if n != 3 and name in FLOW_CHILDREN] == []
        assert {n for name, n in self.effects.items() if name not in FLOW_CHILDREN} == {1}


FLOW_CHILDREN = {"add 10", "add 20", "add 30"}


def kept_by(broker: Broker) -> Any:
    """All records, keys and messages, without what is each broker's own."""
    records: dict[str, list[Record]] = {}
    for kind in KINDS:
        page = broker.list_records(RecordQuery(kind=kind, order="oldest", limit=1000))
        records[kind] = sorted(page.records, key=lambda one: one.key)
    messages = {
        name: sorted(
            (asdict(replace(one, sequence=0)) for one in broker.peek(name, 1000)),
            key=lambda one: str(one["id"]),
        )
        for name in broker.queues()
    }
    return records, broker.holders([key_of(KEY, "k")]), messages


def copied(source: Broker, target: Broker, *queues: str, wait: float = 0.0) -> dict[str, TreeTally]:
    """Copy, and answer what became of the trees, by name."""
    copy = Copy(source, target, queues, (RunTrees(), ScheduleTrees()))
    copy.run(wait)
    return {one.name: one for one in copy.trees.tallies}
