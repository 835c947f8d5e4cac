"""Tasks on AWS: runs lie in the state of the broker, their messages in SQS."""

from typing import Any

import pytest

from taskflow import Registry, RetryPolicy, Worker, chain, chord, schedules, task
from taskflow.brokers.aws.broker import AwsBroker
from taskflow.errors import RunFailed
from taskflow.publisher import using
from taskflow.tasks.canvas.node import Node
from taskflow.tasks.task import Task
from taskflow.tasks.task_context import TaskContext
from tests.contract.wire import SharedClock

FIXED = RetryPolicy(retries=1, backoff=1.0, jitter=False)


class Shop:
    """Some tasks on the AWS broker, and a worker for them."""

    def __init__(self, broker: AwsBroker, clock: SharedClock) -> None:
        self.clock = clock
        registry = Registry()
        self.begun: list[Any] = []

        @task(registry=registry, name="add", result="1h")
        def add(ctx: TaskContext, x: int, y: int = 0) -> int:
            self.begun.append((ctx.event.id, dict(ctx.headers)))
            return x + y

        @task(registry=registry, name="total")
        def total(values: list[int]) -> int:
            return sum(values)

        @task(registry=registry, name="fail", result="1h", policy=FIXED)
        def fail() -> None:
            self.begun.append("fail")
            raise ValueError("no")

        self.add, self.total, self.fail = add, total, fail
        self.worker = Worker(broker, registry=registry)

    def drain(self) -> int:
        """Run what is visible now."""
        return len(self.worker.drain())


@pytest.fixture
def shop(broker: AwsBroker, clock: SharedClock) -> Any:
    with using(broker):
        yield Shop(broker, clock)


def test_a_call_and_its_result(shop: Shop) -> None:
    result = shop.add.options(headers={"locale": "de"}).delay(1, 2)
    without = shop.add.options(result=None, headers={"locale": "fr"}).delay(1)
    assert result.state == "waiting"
    assert shop.drain() == 2
    assert result.get(0) == 3
    assert sorted(shop.begun) == sorted(
        [(result.id, {"locale": "de"}), (without.id, {"locale": "fr"})]
    )


def test_a_failure_is_tried_again_and_kept(shop: Shop) -> None:
    result = shop.fail.delay()
    shop.drain()
    assert result.state == "retrying"
    shop.clock.advance(2)
    shop.drain()
    with pytest.raises(RunFailed, match="ValueError: no"):
        result.get(0)


def test_keys_cancel_and_long_delays(shop: Shop) -> None:
    first, second = (shop.add.options(key="k").delay(1) for _ in range(2))
    assert (first.id == second.id, second.created) == (True, False)
    assert first.cancel()
    later = shop.add.options(delay="2d").delay(5)
    shop.drain()
    assert shop.begun == []
    assert (first.state, later.state) == ("cancelled", "scheduled")
    shop.clock.advance(2 * 86400 + 1)
    shop.drain()
    assert later.get(0) == 5


def test_plans(shop: Shop) -> None:
    plans: list[tuple[Node, int]] = [
        (chain(shop.add.s(1, 2), shop.add.s(10)), 13),
        (chord([shop.add.s(n) for n in range(5)], shop.total.s()), 10),
    ]
    for plan, value in plans:
        result = plan.delay()
        shop.drain()
        assert result.get(0) == value


def test_many_calls(shop: Shop) -> None:
    task_: Task[[int], int] = shop.add
    results = task_.send_many(range(25))
    assert shop.drain() == 25
    assert sorted(one.get(0) for one in results) == list(range(25))


@pytest.mark.parametrize("overlap", ["skip", "allow"])
def test_a_schedule_fires_each_tick_once(overlap: Any, shop: Shop) -> None:
    shop.worker.tend()
    schedules.put("minutes", every=60, task=shop.add, args=(1,), overlap=overlap)
    for _ in range(3):
        shop.clock.advance(60)
        shop.worker.tend()
        shop.worker.tend()
        shop.drain()
    assert len(shop.begun) == 3
    assert len({id for id, _ in shop.begun}) == 3


@pytest.mark.parametrize("result", ["1h", None])
def test_what_is_redriven_ends_anew_at_the_same_attempt(
    result: str | None, broker: AwsBroker
) -> None:
    """With its result, and what follows: its end is not that of its first life."""
    registry, told = Registry(), list[str]()

    @task(registry=registry, name="tell")
    def tell(what: Any) -> None:
        told.append("no" if isinstance(what, dict) else what)

    @task(registry=registry, name="t", on_success=tell, on_failure=tell, retries=0, result=result)
    def t() -> str:
        if len(told) < 2:
            raise ValueError
        return "yes"

    worker = Worker(broker, registry=registry)
    with using(broker):
        call = t.delay()
    for lives in range(1, 4):
        worker.drain()
        assert len(told) == lives
        assert broker.redrive("default-dlq") == (lives < 3)
    assert told == ["no", "no", "yes"]
    if result is not None:
        assert call.get(0) == "yes"
