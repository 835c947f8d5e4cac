"""Priorities have names in `taskflow.celery`: of tasks, calls and parts of a canvas."""

from collections.abc import Callable

import pytest

from taskflow.celery import Celery, group
from taskflow.errors import NotPorted


def test_the_higher_runs_first(app: Celery, drain: Callable[[], int]) -> None:
    order: list[str] = []
    note = app.task(name="note")(order.append)
    urgent = app.task(name="urgent", priority="high")(order.append)
    drain()
    note.apply_async(("low",), priority="low")
    note.delay("usual")
    urgent.delay("urgent")
    urgent.apply_async(("urgent, low",), priority="low")
    group(urgent.s("in a group"), note.s("low in a group").set(priority="low")).delay()
    drain()
    assert order[:3] == ["urgent", "in a group", "usual"]
    assert sorted(order[3:]) == ["low", "low in a group", "urgent, low"]


@pytest.mark.parametrize("priority", [0, 9, "urgent"])
def test_a_number_says_too_little(app: Celery, priority: object) -> None:
    with pytest.raises(NotPorted, match="0 to 9 mean the opposite on Redis and RabbitMQ"):
        app.task(name="a", priority=priority)(print)
