"""`beat_schedule` and `add_periodic_task`: any worker fires them, each tick once."""

from collections.abc import Callable
from typing import Any

import pytest

from taskflow import Broker, Worker
from taskflow.celery import Celery, crontab
from taskflow.celery.beat import schedule_name
from taskflow.errors import ConfigError, NotPorted
from taskflow.scheduling.schedules import Schedules
from taskflow.testing import ManualClock

Drain = Callable[[], int]


def test_schedules_are_fired(
    app: Celery, taskflow_clock: ManualClock, taskflow_broker: Broker, drain: Drain
) -> None:
    said: list[str] = []
    say = app.task(name="proj.say")(lambda text: said.append(text))
    connect: Callable[..., Any] = app.on_after_configure.connect

    @connect
    def set_up(sender: Celery, **_: Any) -> None:
        sender.add_periodic_task(60.0, say.s("each minute"), name="each minute")

    app.conf.timezone = "Europe/Berlin"
    app.conf.beat_schedule = {
        "at the hour": {
            "task": "proj.say",
            "schedule": crontab(minute=0),
            "kwargs": {"text": "hour"},
            "options": {"queue": "celery"},
        },
    }
    taskflow_clock.set(1_800_000_030.0)  # 30 s after a minute, and after a full hour
    drain()
    drain()
    assert said == []
    for _ in range(60):
        taskflow_clock.advance(60)
        drain()
    assert (said.count("each minute"), said.count("hour")) == (60, 1)
    names = {one.name for one in Schedules().list().schedules}
    assert names == {"each-minute", "at-the-hour"}


@pytest.mark.parametrize(
    ("entry", "error", "match"),
    [
        ({"task": "proj.nosuch", "schedule": 9}, ConfigError, "which no module"),
        ({"task": "t", "schedule": 9, "options": {"expires": 9}}, NotPorted, "beside queue"),
    ],
)
def test_schedules_that_cannot_be(
    entry: dict[str, Any],
    error: type[Exception],
    match: str,
    app: Celery,
    taskflow_broker: Broker,
) -> None:
    app.task(name="t")(lambda: None)
    app.conf.beat_schedule = {"wrong": entry}
    with pytest.raises(error, match=match):
        Worker(taskflow_broker, registry=app.registry)


def test_names_have_no_spaces() -> None:
    assert schedule_name("proj.say('good  morning')") == "proj.say('good-morning')"
    assert len(schedule_name("x" * 300)) == 100
