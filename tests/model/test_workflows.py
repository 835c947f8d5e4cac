"""Random workflows under random faults, against plain Python.

`make histories` runs 10,000 of them (TASKFLOW_HISTORIES); a seed that failed is kept in FOUND.
"""

import os
import random
from typing import Any

import msgspec
import pytest

from taskflow import AsyncRun, Registry, Run, publish, task, workflow
from taskflow.broker.record import RecordQuery
from taskflow.errors import RunFailed, StepFailed
from taskflow.tasks.run import RUN, row_of
from taskflow.testing import Sim
from taskflow.testing.simulation.fault_rates import CHAOS

MANY = int(os.environ.get("TASKFLOW_HISTORIES", "60"))
FOUND: list[int] = []
"""Seeds that have failed once."""

Plan = list[Any]


def draw_plan(draw: random.Random, depth: int = 0) -> Plan:
    """What a workflow does, one after the other: each part names what, and a number."""
    kinds = ["step", "fails", "sleep", "wait", "late", "send", "map", "gather", "values"]
    if depth < 2:
        kinds += ["child", "broken"]
    plan: Plan = []
    for _ in range(draw.randint(1, 6)):
        kind = draw.choice(kinds)
        number = draw.randint(0, 3)
        more = draw_plan(draw, depth + 1) if kind in ("child", "broken") else None
        plan.append([kind, number, more])
    return plan


def expected(plan: Plan) -> list[Any]:
    """What the plan comes to."""
    answers: list[Any] = []
    for kind, number, more in plan:
        match kind:
            case "step" | "wait":
                answers.append(number)
            case "map":
                answers.append(list(range(number)))
            case "gather":
                answers.append([number, number + 1, number])
            case "child":
                answers.append(expected(more))
            case _:
                answers.append(kind)
    return answers


class World:
    """An application whose workflows do what they are told, and what they have done outside."""

    def __init__(self) -> None:
        self.registry = registry = Registry()
        self.effects: dict[str, int] = {}
        self.heard: dict[str, int] = {}
        registry.subscribe("said", queue="ears")(self.hear)

        @task(registry=registry, queue="tasks", name="same")
        def same(number: int) -> int:
            return number

        @workflow(registry=registry, queue="flows", name="flow")
        def flow(plan: Plan, ctx: Run) -> list[Any]:
            return [self.do(part, ctx) for part in plan]

        @workflow(registry=registry, queue="flows", name="flow_async")
        async def flow_async(plan: Plan, ctx: AsyncRun) -> list[Any]:
            return [await self.do_async(part, ctx) for part in plan]

        @workflow(registry=registry, queue="flows", name="broken", retries=0)
        def broken(plan: Plan, ctx: Run) -> None:
            for part in plan:
                self.do(part, ctx)
            ctx.step(self.fail)

        self.same, self.flow, self.flow_async, self.broken = same, flow, flow_async, broken

    def hear(self, id: str) -> None:
        """Handles `said`."""
        self.heard[id] = self.heard.get(id, 0) + 1

    def act(self, key: str, number: int) -> int:
        """An effect with an idempotency key."""
        self.effects[key] = number
        return number

    def fail(self) -> None:
        """Fails."""
        raise ValueError("always")

    def do(self, part: Any, ctx: Run) -> Any:
        """One part of a plan."""
        kind, number, more = part
        match kind:
            case "step":
                return ctx.options(retries=8).step(lambda_named(self.act), ctx.run, number)
            case "fails":
                try:
                    ctx.step(self.fail)
                except StepFailed:
                    return kind
            case "sleep":
                ctx.sleep(number * 400)
            case "wait":
                return ctx.wait(f"n{number}", timeout="90d")
            case "late":
                return kind if ctx.wait("nobody", timeout=number) is None else "?"
            case "send":
                publish("said", f"{ctx.run}:{number}")
            case "map":
                return ctx.map(self.same, range(number), limit=2)
            case "gather":
                return ctx.gather((int, number), self.same.s(number + 1), (int, number))
            case "values":
                return kind if (ctx.uuid(), ctx.now()) else "?"
            case "child":
                return ctx.call(self.flow_async if number % 2 else self.flow, more)
            case "broken":
                try:
                    ctx.call(self.broken, more)
                except RunFailed:
                    return kind
        return kind

    async def do_async(self, part: Any, ctx: AsyncRun) -> Any:
        """One part of a plan."""
        kind, number, more = part
        match kind:
            case "step":
                return await ctx.options(retries=8).step(lambda_named(self.act), ctx.run, number)
            case "fails":
                try:
                    await ctx.step(self.fail)
                except StepFailed:
                    return kind
            case "sleep":
                await ctx.sleep(number * 400)
            case "wait":
                return await ctx.wait(f"n{number}", timeout="90d")
            case "late":
                return kind if await ctx.wait("nobody", timeout=number) is None else "?"
            case "send":
                publish("said", f"{ctx.run}:{number}")
            case "map":
                return await ctx.map(self.same, range(number), limit=2)
            case "gather":
                return await ctx.gather(
                    (int, number), self.same.s(number + 1), ctx.step(int, number)
                )
            case "values":
                return kind if (ctx.uuid(), ctx.now()) else "?"
            case "child":
                return await ctx.call(self.flow_async if number % 2 else self.flow, more)
            case "broken":
                try:
                    await ctx.call(self.broken, more)
                except RunFailed:
                    return kind
        return kind


def lambda_named(function: Any) -> Any:
    """The effect as a step: its key is the run's and the number."""

    def act(run: str, number: int) -> int:
        found: int = function(f"{run}/{number}", number)
        return found

    return act


def signals_of(plan: Plan) -> list[int]:
    """What a run must be told before it ends, by its own waits."""
    return [number for kind, number, _ in plan if kind == "wait"]


def live(seed: int) -> str:
    """One history; answers what happened, line by line."""
    draw = random.Random(seed)
    plan = draw_plan(draw)
    world = World()
    with Sim(world.registry, seed=seed, faults=CHAOS) as sim:
        sim.expect(StepFailed, ValueError)
        root = (world.flow_async if draw.random() < 0.5 else world.flow).options(id="root")
        run = root.delay(plan)
        told: set[str] = set()
        for _ in range(300):
            if run.ready:
                break
            for id, waits in runs_of(sim):
                for number in waits if id not in told else ():
                    sim.signal(id, f"n{number}", number)
                told.add(id)
            sim.run_for(600)
        assert run.ready, f"seed {seed}: {plan}\n{sim.journal(run)}"
        assert run.get(0) == expected(plan), f"seed {seed}: {plan}\n{sim.journal(run)}"
        for what, count in world.heard.items():
            sent = sum(1 for one in sim.outbox if one.payload == what)
            assert count <= 2 * sent, (seed, what)
        return sim.history()


def runs_of(sim: Sim) -> list[tuple[str, list[int]]]:
    """The runs there are by their ids, and what each is to be told."""
    found = []
    for record in sim.broker.list_records(RecordQuery(kind=RUN, limit=1000)).records:
        row = row_of(record)
        if row.run.task != "same":
            (plan,) = msgspec.json.decode(row.run.args)
            found.append((row.id, signals_of(plan)))
    return found


@pytest.mark.parametrize("seed", [*range(MANY), *FOUND])
def test_a_random_workflow_comes_to_what_plain_python_does(seed: int) -> None:
    live(seed)
