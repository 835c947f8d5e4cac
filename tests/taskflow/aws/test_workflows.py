"""Workflows on AWS: steps, waits and children lie in the state of the broker, messages in SQS."""

from contextlib import suppress
from typing import Any

import pytest

from taskflow import Registry, Run, Worker, publish, task, workflow
from taskflow.brokers.aws.broker import AwsBroker
from taskflow.errors import BrokerUnavailable, StepFailed
from taskflow.publisher import using
from taskflow.testing import FaultBroker
from tests.contract.wire import SharedClock


class Shop:
    """A workflow on the AWS broker, and a worker for it."""

    def __init__(self, broker: AwsBroker, clock: SharedClock) -> None:
        self.broker, self.clock = broker, clock
        self.registry = registry = Registry()
        self.log: list[str] = []
        registry.subscribe("paid", queue="audit")(self.audit)

        @task(registry=registry, name="pack", queue="packing")
        def pack(line: int) -> int:
            return line * 2

        @workflow(
            registry=registry,
            name="fulfil",
            queue="flows",
            key="order",
            on={"parcel.shipped": "order"},
        )
        def fulfil(order: str, ctx: Run) -> list[Any]:
            paid = ctx.step(self.pay, order)
            publish("paid", order)
            ctx.sleep(30)
            packed = ctx.map(pack, [1, 2])
            shipped = ctx.wait("parcel.shipped", timeout="20m")
            late = ctx.wait("never", timeout=5)
            return [paid, packed, shipped, late]

        self.fulfil = fulfil
        self.worker = Worker(broker, registry=registry)

    def audit(self, payload: str) -> None:
        """Handles `paid`."""
        self.log.append(f"audit {payload}")

    def pay(self, order: str) -> str:
        """An effect."""
        self.log.append(f"pay {order}")
        return f"paid {order}"

    def until(self, run: Any, worker: Any = None, seconds: float = 7200) -> None:
        """Work until the run has ended, time going by."""
        for _ in range(int(seconds / 10)):
            (worker or self.worker).drain()
            if run.ready:
                return
            self.clock.advance(10)
        raise AssertionError(str(run.tree()))


@pytest.fixture
def shop(broker: AwsBroker, clock: SharedClock) -> Any:
    with using(broker):
        yield Shop(broker, clock)


def test_a_workflow_from_its_call_to_its_end(shop: Shop) -> None:
    run = shop.fulfil.delay("o1")
    shop.worker.drain()
    assert run.state == "suspended"
    publish("parcel.shipped", {"order": "o1", "by": "van"})
    shop.until(run)
    assert run.get(0) == ["paid o1", [2, 4], {"order": "o1", "by": "van"}, None]
    shop.worker.drain()
    assert sorted(shop.log) == ["audit o1", "pay o1"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2, 4, 6])
def test_a_change_that_is_not_answered_is_made_once(shop: Shop, number: int, when: Any) -> None:
    faulty = FaultBroker(shop.broker)
    faulty.fail("apply", number, when)
    worker = Worker(faulty, registry=shop.registry)
    run = shop.fulfil.delay("o1")
    run.signal("parcel.shipped", "here")
    for _ in range(400):
        with suppress(BrokerUnavailable):
            worker.drain()
        if run.ready:
            break
        shop.clock.advance(10)
    assert run.get(0) == ["paid o1", [2, 4], "here", None]
    for _ in range(10):
        worker.drain()
        shop.clock.advance(40)
    assert shop.log.count("audit o1") == 1
    assert 1 <= shop.log.count("pay o1") <= 2


def test_a_step_that_runs_at_most_once_is_kept_as_begun_and_as_done(shop: Shop) -> None:
    @workflow(registry=shop.registry, name="careful", queue="flows")
    def careful(ctx: Run) -> str:
        paid = ctx.options(at_most_once=True).step(shop.pay, "o1")
        ctx.sleep(1)
        return paid

    Worker(shop.broker, registry=shop.registry)
    run = careful.delay()
    shop.until(run)
    assert (run.get(0), shop.log) == ("paid o1", ["pay o1"])


def test_a_run_that_is_cancelled_in_its_first_step_is_cleaned_up_after(shop: Shop) -> None:
    @workflow(registry=shop.registry, name="undo", queue="flows")
    def undo(ctx: Run) -> None:
        ctx.step(shop.audit, f"undo of {ctx.cancels}")

    def pay() -> None:
        shop.pay("o1")
        assert runs[0].cancel()

    @workflow(registry=shop.registry, name="undone", queue="flows", on_cancel=undo)
    def undone(ctx: Run) -> None:
        ctx.step(pay)
        ctx.sleep(1)

    Worker(shop.broker, registry=shop.registry)
    runs = [undone.options(id="run").delay()]
    shop.until(runs[0])
    shop.worker.drain()
    assert (runs[0].state, shop.log) == ("cancelled", ["pay o1", "audit undo of run"])


def test_there_is_no_file_for_own_tables(shop: Shop) -> None:
    @workflow(registry=shop.registry, name="odd", queue="flows", retries=0)
    def odd(ctx: Run) -> None:
        try:
            ctx.transaction(shop.pay)  # type: ignore[arg-type]
        except StepFailed:
            raise AssertionError from None

    Worker(shop.broker, registry=shop.registry)
    run = odd.delay()
    shop.until(run)
    assert run.error is not None
    assert "this broker has no file for tables" in run.error.message
