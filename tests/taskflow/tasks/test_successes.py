"""Most runs succeed, and nothing follows: their short end is the long one."""

from collections.abc import Callable
from typing import Any

import pytest

from taskflow import Broker, Context, Registry, chain, publish, task
from taskflow.broker.change import Change
from taskflow.engine import Ended
from taskflow.tasks import task_engine
from taskflow.tasks.settling import settlement
from taskflow.tasks.succeeding import plain_end
from taskflow.tasks.task_context import TaskContext
from taskflow.tasks.work import Work

Drain = Callable[[], int]


def parts(change: Change | None) -> dict[str, Any]:
    """What is in it, whatever kind of list it is in."""
    assert change is not None
    fields = {name: getattr(change, name) for name in change.__struct_fields__}
    return {name: list(one) if isinstance(one, tuple) else one for name, one in fields.items()}


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each end that is settled: whether the short way was taken, which is as the long one."""
    short: list[bool] = []

    def noted(broker: Broker, ended: Ended, work: Work) -> Change | None:
        found = plain_end(broker, ended, work)
        short.append(found is not None)
        if found is not None:
            assert parts(found) == parts(settlement(broker, ended, work, None))
        return found

    monkeypatch.setattr(task_engine, "plain_end", noted)
    return short


@pytest.mark.parametrize("value", [None, 0, "text", [1, None], {"a": {"b": 0.5}}])
@pytest.mark.parametrize("says", [False, True])
@pytest.mark.parametrize("key", [None, "k"])
def test_the_short_end_is_the_long_one(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    drain: Drain,
    ends: list[bool],
    value: Any,
    says: bool,
    key: str | None,
) -> None:
    @task(registry=taskflow_registry, name="give", result="1d")
    def give(ctx: Context) -> Any:
        assert isinstance(ctx, TaskContext)
        if says:
            ctx.progress(1, 2, "half")
        return value

    drain()
    result = give.options(key=key).delay()
    assert len(taskflow_broker.holders(["task/give/k"])) == (key is not None)
    assert drain() == 1
    assert ends == [True]
    assert (result.state, result.get(0)) == ("done", value)
    assert not taskflow_broker.holders(["task/give/k"])


def test_what_goes_on_takes_the_long_way(
    taskflow_broker: Broker, taskflow_registry: Registry, drain: Drain, ends: list[bool]
) -> None:
    @task(registry=taskflow_registry)
    def follow(value: int) -> None: ...

    @task(registry=taskflow_registry, result="1d", on_success=follow)
    def followed() -> int:
        return 1

    @task(registry=taskflow_registry, result="1d")
    def plain(value: int = 0) -> int:
        return value

    @task(registry=taskflow_registry, result="1d")
    def sends() -> int:
        publish("made", {}, broker=taskflow_broker)
        return 1

    @task(registry=taskflow_registry, result="1d")
    def says_last(ctx: Context) -> int:
        assert isinstance(ctx, TaskContext)
        ctx.progress(1, 2)
        ctx.progress(2, 2)
        return 1

    taskflow_broker.create_topic("made")
    drain()
    for result in (
        followed.delay(),
        sends.delay(),
        says_last.delay(),
        chain(plain.s(1), plain.s()).delay(),
    ):
        while drain():
            pass
        assert result.get(0) == 1
    assert len(ends) == 5
    assert not any(ends)
