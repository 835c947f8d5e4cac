"""Ids and unique keys of runs: one at a time, freed by every way a run can end."""

from collections.abc import Callable

import pytest

from taskflow import Broker, Registry, task
from taskflow.errors import (
    RunExists,
)
from taskflow.message import FAILURE, plain_text
from taskflow.testing import ManualClock

Drain = Callable[[], int]
Later = Callable[[float], int]
DAY = 86400.0


def test_an_id_is_one_run(
    taskflow_registry: Registry, drain: Drain, recwarn: pytest.WarningsRecorder
) -> None:
    runs: list[int] = []

    @task(registry=taskflow_registry, name="t", result="1h")
    def t(x: int) -> int:
        runs.append(x)
        return x

    other = task(registry=taskflow_registry, name="other", result="1h")(lambda x: None)
    drain()
    first = t.options(id="order-1").delay(1)
    again = t.options(id="order-1").delay(1)
    assert (first.created, again.created) == (True, False)
    with pytest.warns(UserWarning, match="with other arguments"):
        t.options(id="order-1").delay(2)
    with pytest.raises(RunExists, match="other arguments"):
        t.options(id="order-1", strict=True).delay(2)
    with pytest.raises(RunExists, match="it is one of t, not of other"):
        other.options(id="order-1").delay(1)
    assert drain() == 1
    assert runs == [1]
    assert t.options(id="order-1").delay(1).get(0) == 1
    assert drain() == 0


def test_a_key_has_one_run_at_a_time(taskflow_registry: Registry, drain: Drain) -> None:
    runs: list[int] = []

    @task(registry=taskflow_registry)
    def sync(n: int) -> None:
        runs.append(n)

    drain()
    keyed = sync.options(key="customer-7")
    first, second = keyed.delay(1), keyed.delay(2)
    assert (first.id == second.id, second.created) == (True, False)
    assert sync.options(key="customer-8").delay(3).created
    assert drain() == 2
    assert runs == [1, 3]
    assert keyed.delay(4).created
    assert drain() == 1


def test_a_key_may_replace_or_reject(taskflow_registry: Registry, drain: Drain) -> None:
    runs: list[int] = []

    @task(registry=taskflow_registry)
    def sync(n: int) -> None:
        runs.append(n)

    drain()
    first = sync.options(key="k").delay(1)
    second = sync.options(key="k", on_key="replace").delay(2)
    assert first.id != second.id
    assert (first.state, second.state) == ("cancelled", "waiting")
    with pytest.raises(Exception, match="is held by"):
        sync.options(key="k", on_key="reject").delay(3)
    assert drain() == 2  # the first message comes, and is not run
    assert runs == [2]


@pytest.mark.parametrize("end", ["done", "failed", "cancelled", "expired", "rejected"])
def test_every_end_frees_the_key(
    end: str, taskflow_registry: Registry, taskflow_clock: ManualClock, drain: Drain
) -> None:
    @task(registry=taskflow_registry, retries=0)
    def t(how: str) -> None:
        if how == "failed":
            raise ValueError(how)

    drain()
    keyed = t.options(key="k", expires=60)
    first = keyed.delay(end) if end != "rejected" else keyed.delay(1)  # type: ignore[arg-type]
    if end == "cancelled":
        assert first.cancel()
    if end == "expired":
        taskflow_clock.advance(61)
    drain()
    assert first.state == ("failed" if end == "rejected" else end)
    assert keyed.delay(end).created


def test_a_key_is_not_kept_by_a_run_whose_message_is_gone(
    taskflow_registry: Registry, taskflow_broker: Broker, drain: Drain
) -> None:
    t = task(registry=taskflow_registry, name="t", result="1h")(lambda: 1)
    drain()
    first = t.options(key="k").delay()
    taskflow_broker.purge("default")
    second = t.options(key="k").delay()
    assert second.created
    assert (first.state, second.state) == ("failed", "waiting")


def test_a_redriven_run_has_its_key_again(
    taskflow_registry: Registry, taskflow_broker: Broker, drain: Drain
) -> None:
    fails = [True, False, True, False]

    @task(registry=taskflow_registry, name="t", retries=0)
    def t() -> None:
        if fails.pop(0):
            raise ValueError

    drain()
    first = t.options(key="k").delay()
    drain()
    taskflow_broker.redrive("default-dlq")
    drain()
    assert first.state == "done"
    third = t.options(key="k").delay()
    drain()
    fourth = t.options(key="k", delay=60).delay()
    taskflow_broker.redrive("default-dlq")
    drain()
    assert (third.state, fourth.state) == ("failed", "scheduled")
    (letter,) = taskflow_broker.peek("default-dlq")
    assert "is held by" in plain_text(letter.attributes[FAILURE])
