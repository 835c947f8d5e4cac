"""Any plan, under any deaths of workers: the same rows in the end as without, and what plain Python
makes of it."""

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from taskflow import Broker, Registry, Worker, chain, group, task
from taskflow.broker.record import RecordQuery
from taskflow.errors import BrokerUnavailable, RunFailed
from taskflow.tasks.canvas import early_rows
from taskflow.tasks.canvas import group as groups
from taskflow.tasks.canvas.node import Node
from taskflow.tasks.task import Task
from taskflow.testing import FaultBroker, ManualClock, memory_broker

EXAMPLES = int(os.environ.get("TASKFLOW_PLANS", "40"))  # `make plans` takes thousands
EVENTS = ("clean", "lost", "apply before", "apply after", "received")
Made = tuple[str, Any]

PHASES = [Phase.explicit, Phase.generate, Phase.shrink]
NOTHING: Made = ("group", ([], None, "collect"))

calls = st.integers(0, 9).map(lambda n: ("call", n))
failing = st.just(("fail", 0))
DEATHS = 25
deaths_of_workers = st.lists(st.sampled_from(EVENTS), max_size=DEATHS)


def plans(*errors: str) -> st.SearchStrategy[Made]:
    """Any plan, whose groups see failures in one of these ways."""
    limits, policies = st.sampled_from([None, 1, 2]), st.sampled_from(errors)
    return st.recursive(
        calls | failing,
        lambda inner: (
            st.lists(inner, min_size=1, max_size=3).map(lambda nodes: ("chain", nodes))
            | st.tuples(st.lists(inner, max_size=3), limits, policies).map(
                lambda one: ("group", one)
            )
        ),
        max_leaves=7,
    )


def made_of(*nodes: Made) -> Made:
    """A group in the examples."""
    return ("group", (list(nodes), None, "collect"))


class Failed(Exception):
    """What the model says of a plan that fails."""


def model(made: Made, before: Any = None) -> Any:
    """What a plan is in plain Python: calls add up what they get, groups collect."""
    kind, what = made
    if kind == "call":
        return what + weight(before)
    if kind == "fail":
        raise Failed
    if kind == "chain":
        for one in what:
            before = model(one, before)
        return before
    nodes, _, errors = what
    if errors == "stop":
        return [model(one, before) for one in nodes]
    members = []
    for one in nodes:
        try:
            members.append({"state": "done", "value": model(one, before)})
        except Failed:
            members.append({"state": "failed", "value": None})
    return members


def weight(value: Any) -> int:
    """Of whatever comes before a call, a number."""
    if isinstance(value, dict):
        return weight(value["value"])
    if isinstance(value, list):
        return sum(map(weight, value), len(value))
    return value or 0


def without_errors(value: Any) -> Any:
    """Outcomes of members without their texts."""
    if isinstance(value, dict):
        return {"state": value["state"], "value": without_errors(value["value"])}
    if isinstance(value, list):
        return [without_errors(one) for one in value]
    return value


class System:
    """A broker in memory, with one task that adds and one that fails."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.broker: Broker = memory_broker(clock=self.clock)
        self.registry = Registry()
        self.add: Task[..., Any] = task(
            registry=self.registry, name="add", retries=DEATHS, backoff=0
        )(lambda *given: given[-1] + weight(given[0] if len(given) > 1 else None))

        def fail(*given: Any) -> None:
            raise ValueError

        self.fail: Task[..., Any] = task(
            registry=self.registry, name="fail", policy=None, retries=0, give_up_on=[ValueError]
        )(fail)
        self.worker = Worker(self.broker, registry=self.registry)

    def node(self, made: Made) -> Node:
        """The plan."""
        kind, what = made
        if kind == "call":
            return self.add.s(what)
        if kind == "fail":
            return self.fail.s()
        if kind == "chain":
            return chain(*map(self.node, what))
        members, limit, errors = what
        return group(map(self.node, members), errors=errors, limit=limit)

    def run(
        self, made: Made, draw: Callable[[], str], **options: Any
    ) -> tuple[Any, dict[str, Any]]:
        """Run a plan; answers its value (None when it failed) and how its rows ended."""
        result = self.node(made).delay(broker=self.broker, **options)
        faulty = FaultBroker(self.broker)
        worker = Worker(faulty, registry=self.registry)
        for _ in range(400):
            event = draw()
            if event == "received":
                self.broker.receive("default")  # and dies
                self.clock.advance(31)
            elif event.startswith("apply"):
                number = faulty.calls["apply"] + 1
                faulty.fail("apply", number, "before" if event.endswith("before") else "after")
            try:
                jobs = worker.step(limit=1)
            except BrokerUnavailable:
                self.clock.advance(31)
                continue
            finally:
                faulty.heal()
            if not jobs and not self.broker.receive("default", limit=1, visibility=0):
                self.clock.advance(31)
                if result.ready and not worker.drain():
                    break
        assert result.ready, result.state
        page = self.broker.list_records(RecordQuery(kind="run", limit=1000))
        rows = {one.key: (one.state, one.count) for one in page.records}
        try:
            return without_errors(result.get(0)), rows
        except RunFailed:
            return None, rows
        finally:
            self.broker.close()


@settings(max_examples=EXAMPLES, deadline=None, phases=PHASES)
@given(made=plans("collect"), events=deaths_of_workers)
@example(made=NOTHING, events=[])
@example(made=made_of(NOTHING, NOTHING), events=[])
@example(made=("chain", [made_of(NOTHING), NOTHING]), events=[])
@example(made=("call", 0), events=["apply before"] * DEATHS)
def test_deaths_change_nothing(made: Made, events: list[str]) -> None:
    try:
        wanted = model(made)
    except Failed:
        wanted = None
    value, clean = System().run(made, lambda: "clean", id="plan")
    assert value == wanted
    deaths = iter(events)
    value, rows = System().run(made, lambda: next(deaths, "clean"), id="plan")
    assert value == wanted
    assert rows == clean


@settings(max_examples=EXAMPLES, deadline=None, phases=PHASES)
@given(made=plans("collect", "stop"), events=deaths_of_workers)
@example(made=made_of(NOTHING, NOTHING, ("call", 0)), events=[])
@example(made=("chain", [made_of(NOTHING, NOTHING, ("fail", 0))]), events=[])
@example(made=made_of(NOTHING, NOTHING, NOTHING), events=[])
def test_nor_do_they_where_groups_are_stored_some_at_a_time(made: Made, events: list[str]) -> None:
    """A group of three is a long one here, and each of its rows is stored by itself."""
    try:
        wanted = model(made)
    except Failed:
        wanted = None
    deaths = iter(events)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups, "HELD", 2)
        patch.setattr(early_rows, "AT_ONCE", 1)
        value, _ = System().run(made, lambda: next(deaths, "clean"))
    assert value == wanted
