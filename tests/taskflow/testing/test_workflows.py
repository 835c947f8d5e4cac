"""Workflows in a simulation: years pass, workers die at each point, and one seed is one history."""

import asyncio
from typing import Any

import pytest

from taskflow import AsyncRun, Registry, Run, publish, task, workflow
from taskflow.testing import Sim, crash_matrix
from taskflow.testing.simulation.fault_rates import CHAOS


class Shop:
    """An application with a workflow of each kind, and what it has done outside."""

    def __init__(self) -> None:
        self.registry = registry = Registry()
        self.charged: dict[str, int] = {}
        self.mailed: set[str] = set()
        registry.subscribe("order.paid", queue="mail")(self.mail)

        @task(registry=registry, queue="packing", name="pack")
        def pack(line: int) -> int:
            return line

        @workflow(registry=registry, queue="orders", name="fulfil")
        def fulfil(order: str, ctx: Run) -> list[Any]:
            def charge() -> str:
                self.charged.setdefault(ctx.key, 500)
                return "charged"

            paid = ctx.options(retries=5).step(charge)
            publish("order.paid", order, id=order)
            ctx.sleep("30d")
            packed = ctx.gather(pack.s(1), (str, 2), pack.s(3))
            return [paid, packed, ctx.wait("picked", timeout="3d")]

        @workflow(registry=registry, queue="orders", name="fulfil_async")
        async def fulfil_async(order: str, ctx: AsyncRun) -> list[Any]:
            async def charge() -> str:
                self.charged.setdefault(ctx.key, 500)
                return "charged"

            paid = await ctx.options(retries=5).step(charge)
            publish("order.paid", order, id=order)
            await ctx.sleep("30d")
            packed = await asyncio.gather(ctx.call(pack, 1), ctx.step(str, 2), ctx.call(pack, 3))
            return [paid, packed, await ctx.wait("picked", timeout="3d")]

        self.flows = {"def": fulfil, "async def": fulfil_async}

    def mail(self, order: str) -> None:
        """Handles `order.paid`."""
        self.mailed.add(order)


def live(shop: Shop, sim: Sim, kind: str) -> str:
    """One order from its call to its end; answers the history."""
    run = shop.flows[kind].delay("o1")
    sim.run_for("31d")
    assert sim.signal(run, "picked", {"by": "van"})
    sim.run_for("10d")
    assert run.get(0) == ["charged", [1, "2", 3], {"by": "van"}]
    assert list(shop.charged.values()) == [500]
    assert shop.mailed == {"o1"}
    sim.assert_no_dead_letters()
    return sim.history()


@pytest.mark.parametrize("kind", ["def", "async def"])
@crash_matrix
def test_a_worker_may_die_at_each_point(kind: str) -> None:
    shop = Shop()
    with Sim(shop.registry) as sim:
        live(shop, sim, kind)


@pytest.mark.parametrize("seed", range(12))
def test_one_seed_is_one_history_whatever_befalls(seed: int) -> None:
    kind = "def" if seed % 2 else "async def"
    histories = []
    for _ in range(2):
        shop = Shop()
        with Sim(shop.registry, seed=seed, faults=CHAOS) as sim:
            histories.append(live(shop, sim, kind))
    assert histories[0] == histories[1]


def test_the_journal_says_what_was_done_and_why_it_waits() -> None:
    shop = Shop()
    with Sim(shop.registry) as sim:
        run = shop.flows["def"].delay("o1")
        sim.run_for("1d")
        assert "✓ charge" in sim.journal(run)
        assert "waits for its sleep until 2027-02-14" in sim.journal(run.id)
        assert sim.timeline("fulfil") == "0 s waits"
        assert not sim.signal("nobody", "picked")
