"""Listing runs, a page at a time."""

from collections.abc import Callable

import pytest

from taskflow import Broker, Registry, task
from taskflow.errors import LimitExceeded
from taskflow.tasks.listing import list_runs
from taskflow.testing import ManualClock

Drain = Callable[[], int]


def test_pages_hold_each_run_once(
    taskflow_registry: Registry, taskflow_broker: Broker, drain: Drain
) -> None:
    t = task(registry=taskflow_registry, name="t", result="1h")(lambda x: x)
    drain()
    wanted = [one.id for one in t.send_many(range(25))]
    found: list[str] = []
    after: str | None = None
    while True:
        page = list_runs(taskflow_broker, after=after, limit=10, order="oldest")
        found += [row.id for row in page.runs]
        if (after := page.next) is None:
            break
    assert sorted(found) == sorted(wanted)
    newest = [row.id for row in list_runs(taskflow_broker).runs]
    assert newest == found[::-1]


def test_a_time_is_from_and_before(
    taskflow_registry: Registry, taskflow_broker: Broker, taskflow_clock: ManualClock, drain: Drain
) -> None:
    t = task(registry=taskflow_registry, name="t", result="1h")(lambda: 1)
    drain()
    start = taskflow_clock.now()
    ids = []
    for _ in range(3):
        ids.append(t.delay().id)
        taskflow_clock.advance(10)
    found = list_runs(taskflow_broker, since=start + 10, before=start + 20).runs
    assert [row.id for row in found] == [ids[1]]


def test_a_key_is_one_of_a_task(
    taskflow_registry: Registry, taskflow_broker: Broker, drain: Drain
) -> None:
    t = task(registry=taskflow_registry, name="t")(lambda: 1)
    drain()
    result = t.options(key="k").delay()
    assert [row.id for row in list_runs(taskflow_broker, task="t", key="k").runs] == [result.id]
    drain()
    assert list_runs(taskflow_broker, task="t", key="k").runs == [], "it is free again"
    with pytest.raises(ValueError, match="say which"):
        list_runs(taskflow_broker, key="k")


def test_what_cannot_be_asked(taskflow_broker: Broker) -> None:
    with pytest.raises(ValueError, match="no run is ever 'ended'"):
        list_runs(taskflow_broker, states=["ended"])  # type: ignore[list-item]
    with pytest.raises(LimitExceeded):
        list_runs(taskflow_broker, limit=0)
