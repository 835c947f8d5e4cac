"""Calls that end before their time, and those whose time comes late."""

from collections.abc import Callable
from typing import Any

import pytest

from taskflow import Broker, Registry, Result, task
from taskflow.errors import (
    LimitExceeded,
    RunCancelled,
    RunExpired,
)
from tests.taskflow.making import FIXED

Drain = Callable[[], int]
Later = Callable[[float], int]
DAY = 86400.0


def test_cancel_a_waiting_run(taskflow_registry: Registry, drain: Drain) -> None:
    runs: list[int] = []
    t = task(registry=taskflow_registry, name="t", result="1h")(lambda: runs.append(1))
    drain()
    result = t.delay()
    assert result.cancel()
    assert result.state == "cancelled"
    with pytest.raises(RunCancelled):
        result.get()
    assert drain() == 1
    assert runs == []
    assert not result.cancel()


def test_cancel_between_two_attempts(taskflow_registry: Registry, later: Later) -> None:
    runs: list[int] = []

    @task(registry=taskflow_registry, result="1h", policy=FIXED)
    def t() -> None:
        runs.append(1)
        raise ValueError

    later(0)
    result = t.delay()
    later(0)
    assert result.cancel()
    later(10)
    assert (result.state, runs) == ("cancelled", [1])


def test_a_run_that_was_cancelled_while_it_ran_stays_so(
    taskflow_registry: Registry, taskflow_broker: Broker, drain: Drain
) -> None:
    @task(registry=taskflow_registry, result="1h")
    def t() -> str:
        assert result.cancel()  # nobody has said yet that it runs
        return "done all the same"

    drain()
    result = t.delay()
    drain()
    assert result.state == "cancelled"
    assert taskflow_broker.counts("default").in_flight == 0


def test_cancel_a_call_without_a_run(taskflow_registry: Registry, later: Later) -> None:
    runs: list[int] = []

    @task(registry=taskflow_registry)
    def t(n: int) -> None:
        runs.append(n)

    later(0)
    first, second = t.options(delay=60).delay(1), t.options(delay=60).delay(2)
    assert first.cancel()
    later(61)
    assert runs == [2]
    assert second


def test_an_expired_call_does_not_start(taskflow_registry: Registry, later: Later) -> None:
    runs: list[int] = []

    @task(registry=taskflow_registry)
    def t() -> None:
        runs.append(1)

    later(0)
    kept = t.options(expires="1m", result="1h").delay()
    t.options(expires="1m").delay()
    later(61)
    assert (runs, kept.state) == ([], "expired")
    with pytest.raises(RunExpired):
        kept.get()


@pytest.mark.parametrize("delay", [60.0, 3 * DAY, 100 * DAY])
def test_a_delay_may_be_long(delay: float, taskflow_registry: Registry, later: Later) -> None:
    runs: list[int] = []
    t = task(registry=taskflow_registry, name="t", result="1h")(lambda: runs.append(1))
    later(0)
    result = t.options(delay=delay).delay()
    assert result.state == "scheduled"
    later(delay - 1)
    assert (runs, result.state) == ([], "scheduled")
    later(2)
    assert (runs, result.state) == ([1], "done")


@pytest.mark.parametrize("options", [{}, {"result": "1h"}, {"debounce": 60}])
def test_a_call_of_a_fifo_queue_may_be_delayed_too(
    options: dict[str, Any], taskflow_registry: Registry, later: Later
) -> None:
    runs: list[str] = []
    t = task(registry=taskflow_registry, name="t", queue="q.fifo")(runs.append)
    later(0)
    late: dict[str, Any] = options if "debounce" in options else {"delay": 60, **options}
    result = t.options(group="g", **late).delay("late")
    t.options(group="g").delay("early")
    assert result.state == "scheduled"
    later(59)
    assert runs == ["early"]
    later(2)
    assert (runs, result.state) == (["early", "late"], "done")


@pytest.mark.parametrize(
    ("options", "why"), [({}, "needs a group"), ({"group": "g", "priority": "high"}, "overtake")]
)
def test_what_a_fifo_queue_will_not_take_is_refused_now(
    options: dict[str, Any], why: str, taskflow_registry: Registry, later: Later
) -> None:
    t = task(registry=taskflow_registry, name="t", queue="q.fifo")(lambda: None)
    later(0)
    with pytest.raises(LimitExceeded, match=why):
        t.options(delay="30d", **options).delay()


def test_a_long_delay_is_cancelled_at_once(taskflow_registry: Registry, later: Later) -> None:
    runs: list[int] = []
    t = task(registry=taskflow_registry, name="t")(lambda: runs.append(1))
    later(0)
    result = t.options(delay="30d").delay()
    assert result.cancel()
    assert later(31 * DAY) == 0
    assert runs == []


def test_what_is_due_but_has_no_queue_holds_nobody(
    taskflow_registry: Registry, taskflow_broker: Broker, later: Later
) -> None:
    runs: list[int] = []
    t = task(registry=taskflow_registry, name="t")(lambda: runs.append(1))
    gone = task(registry=Registry(), name="gone", queue="gone")(lambda: None)
    later(0)
    lost = gone.options(delay=DAY).delay()
    t.options(delay=DAY + 1).delay()
    later(DAY + 2)
    assert (runs, lost.state) == ([1], "scheduled")
    taskflow_broker.create_queue("gone")
    later(61)
    assert lost.state == "waiting"


def test_an_unknown_id_is_not_cancelled(taskflow_broker: Broker) -> None:
    assert not Result("never").cancel()
    assert taskflow_broker.count_records("cancel") == {}
    assert taskflow_broker.records("cancel", ["never"]) == {}


def test_forget(taskflow_registry: Registry, drain: Drain) -> None:
    t = task(registry=taskflow_registry, name="t", result="1h")(lambda: 1)
    drain()
    result, other = t.delay(), t.delay()
    drain()
    assert result.get(0) == 1
    result.forget()
    assert (result.state, other.state) == ("unknown", "done")


def test_what_is_forgotten_before_it_ran_is_no_dead_letter(
    taskflow_registry: Registry, taskflow_broker: Broker, drain: Drain
) -> None:
    t = task(registry=taskflow_registry, name="t", result="1h")(lambda: 1)
    drain()
    result = t.delay()
    result.forget()
    assert result.state == "cancelled"
    drain()
    assert taskflow_broker.counts("default-dlq").visible == 0
