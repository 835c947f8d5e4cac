"""Schedules by name: what is put, changed and looked at, and what code declares at a deploy."""

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from taskflow import (
    Broker,
    Registry,
    Result,
    Worker,
    cron,
    every,
    once,
    schedules,
    task,
)
from taskflow.broker.change import Change, Put
from taskflow.errors import LimitExceeded, RegistrationError, ScheduleNotFound
from taskflow.scheduling.declaring import is_older
from taskflow.scheduling.due_schedules import fire_due
from taskflow.tasks.call_options import Checked
from taskflow.testing import ManualClock
from tests.taskflow.scheduling.conftest import Seen, Work
from tests.taskflow.worker.pools import Watch, running

START = 1_800_000_000.0
HOUR, DAY = 3600.0, 86400.0


def state(name: str) -> str:
    found = schedules.get(name)
    assert found is not None
    return found.state


# ---- put ----------------------------------------------------------------------------------------
def test_one_per_customer(taskflow_clock: ManualClock, seen: Seen, work: Work) -> None:
    work()
    for customer in range(3):
        schedules.put(f"report/{customer}", cron="0 9 * * *", tz="Europe/Berlin", task=seen.task)
    page = schedules.list(limit=2)
    assert [one.name for one in page.schedules] == ["report/0", "report/1"]
    rest = schedules.list(limit=2, after=page.next)
    assert [one.name for one in rest.schedules] == ["report/2"]
    assert len(schedules.list(label="note", state="active").schedules) == 3
    assert schedules.list(state="paused").schedules == []
    ticks = schedules.next("report/1", 3)
    assert [tick - ticks[0] for tick in ticks] == [0, DAY, 2 * DAY]
    taskflow_clock.set(ticks[0])
    assert work() == 3


def test_what_was_kept_with_all_that_is_usual_is_the_same(
    taskflow_broker: Broker, taskflow_clock: ManualClock, seen: Seen, work: Work
) -> None:
    """As it was written once: every option of the task's calls, though none was given."""
    every(60)(seen.task)
    work()
    kept = taskflow_broker.records("schedule", ["note"])["note"]
    assert "defaults" not in kept.value
    usual = json.loads(msgspec.json.encode(dict(_usual(Checked))))
    value = json.loads(kept.value)
    value["spec"]["task"] |= {"flow": None, "defaults": usual, "durable": False}
    put = Put(
        kind="schedule",
        key="note",
        value=json.dumps(value),
        expected=kept.version,
        parent=kept.parent,
        label=kept.label,
        state=kept.state,
        due_at=kept.due_at,
    )
    (made,) = taskflow_broker.apply([Change(records=[put])])
    work()
    assert taskflow_broker.records("schedule", ["note"])["note"].version == made.versions[0]
    taskflow_clock.advance(60)
    assert work() == 1
    assert seen.ticks == [START + 60]


def _usual(options: type[msgspec.Struct]) -> list[tuple[str, Any]]:
    return [
        (one.name, one.default if one.default is not msgspec.NODEFAULT else one.default_factory())
        for one in msgspec.structs.fields(options)
    ]


def test_put_again_as_it_is_changes_nothing(taskflow_clock: ManualClock, seen: Seen) -> None:
    first = schedules.put("s", every=60, task=seen.task)
    taskflow_clock.advance(61)
    assert schedules.put("s", every="1m", task=seen.task) == first


def test_other_times_begin_now_and_other_arguments_do_not(
    taskflow_clock: ManualClock, seen: Seen, work: Work
) -> None:
    work()
    schedules.put("s", every=60, task=seen.task)
    taskflow_clock.advance(60)
    work()
    taskflow_clock.advance(120)
    found = schedules.put("s", every=100, task=seen.task)
    assert (found.next_tick, found.last_tick) == (START + 200, START + 60)
    taskflow_clock.advance(20)
    schedules.put("s", every=100, task=seen.task, missed="skip")
    assert work() == 1
    assert seen.ticks == [START + 60, START + 200]


def test_remove(taskflow_clock: ManualClock, seen: Seen, work: Work) -> None:
    schedules.put("s", every=60, task=seen.task)
    assert schedules.remove("s")
    assert not schedules.remove("s")
    assert schedules.get("s") is None
    taskflow_clock.advance(60)
    assert work() == 0


def test_pause_and_resume(taskflow_clock: ManualClock, seen: Seen, work: Work) -> None:
    work()
    schedules.put("s", every=60, task=seen.task)
    schedules.pause("s")
    schedules.pause("s")
    assert (state("s"), schedules.next("s")) == ("paused", [])
    taskflow_clock.advance(90)
    assert work() == 0
    schedules.put("s", every=50, task=seen.task)
    assert state("s") == "paused"
    schedules.resume("s")
    schedules.resume("s")
    assert work() == 0, "what it would have fired is not made up for"
    taskflow_clock.advance(10)
    assert work() == 1
    assert seen.ticks == [START + 100]


def test_run_now(
    taskflow_clock: ManualClock, seen: Seen, work: Work, taskflow_broker: Broker
) -> None:
    work()
    schedules.put("s", every=60, task=seen.task)
    schedules.pause("s")
    taskflow_clock.advance(5)
    assert isinstance(schedules.run_now("s"), Result)
    assert work() == 1
    assert seen.ticks == [START + 5]
    taskflow_broker.create_topic("a.b")
    schedules.put("e", every=60, publish=("a.b", None))
    assert str(schedules.run_now("e")).startswith("e@")


@pytest.mark.parametrize("verb", ["pause", "resume", "run_now", "next"])
def test_what_is_not_there(verb: str, taskflow_broker: Broker) -> None:
    with pytest.raises(ScheduleNotFound, match="no schedule named 'x'"):
        getattr(schedules, verb)("x")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "one of every=, cron= and at="),
        ({"every": 1, "cron": "* * * * *"}, "one of every=, cron= and at="),
        ({"every": 0}, "from a second"),
        ({"every": "soon"}, "no duration"),
        ({"every": 60, "tz": "Europe/Berlin"}, "no time zone changes"),
        ({"cron": "0 0 31 2 *"}, "due on some day"),
        ({"cron": "0 0 * * *", "tz": "Mars/Base"}, "pip install tzdata"),
        ({"at": "tomorrow"}, "2026-12-01T09:00"),
        ({"at": START - 2 * HOUR}, "it would never run"),
        ({"every": 60, "missed": "most"}, "'last', 'skip', 'all'"),
        ({"every": 60, "overlap": "no"}, "'skip', 'allow', 'queue', 'cancel'"),
        ({"every": 60, "missed": "all", "overlap": "skip"}, "overlap='allow'"),
        ({"every": 60, "jitter": 61}, "from tick to tick it is 60 s"),
        ({"every": 60, "args": "abc"}, "a tuple is wanted"),
        ({"every": 60, "args": (1,)}, "too many positional"),
        ({"every": 60, "kwargs": {"x": object()}}, "unexpected keyword|cannot be written"),
        ({"every": 60, "when": 1}, "does not know 'when'"),
        ({"every": 60, "queue": "other"}, "has no queue 'other'"),
        ({"every": 60, "task": None}, "one of task= and publish="),
        ({"every": 60, "task": 5}, "a task, or its name"),
        ({"every": 60, "task": None, "publish": "a.b"}, r"\(topic, payload\) is wanted"),
        ({"every": 60, "task": None, "publish": ("a-b", 1)}, "no '-'"),
        ({"every": 60, "task": None, "publish": ("a.b", 1), "args": (1,)}, "has a payload"),
        ({"every": 60, "task": None, "publish": ("a.b", 1), "overlap": "skip"}, "nobody knows"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], says: str, seen: Seen) -> None:
    with pytest.raises((ValueError, TypeError), match=says):
        schedules.put("s", **{"task": seen.task, **options})
    assert schedules.get("s") is None


@pytest.mark.parametrize("what", ["args", "publish"])
def test_what_no_message_holds_is_refused_now(what: str, taskflow_broker: Broker) -> None:
    """Not at each tick."""
    large = "x" * taskflow_broker.max_message_bytes
    sent: dict[str, Any] = {"task": "note", "args": (large,)}
    with pytest.raises(LimitExceeded, match="what schedule s sends is"):
        schedules.put("s", every=60, **(sent if what == "args" else {"publish": ("t", large)}))
    assert schedules.get("s") is None


@pytest.mark.parametrize("name", ["", "a b", "x" * 101, "ä", "a\n", 5])
def test_names(name: Any, seen: Seen) -> None:
    with pytest.raises(ValueError, match="name of a schedule"):
        schedules.put(name, every=60, task=seen.task)


def test_moments_may_be_written(seen: Seen) -> None:
    written: list[tuple[Any, str]] = [
        ("2030-07-01T09:00", "Europe/Berlin"),
        ("2030-07-01T07:00Z", "UTC"),
        (datetime(2030, 7, 1, 7, tzinfo=UTC), "UTC"),
    ]
    found = {schedules.put("s", at=at, tz=tz, task=seen.task).at for at, tz in written}
    assert found == {datetime(2030, 7, 1, 7, tzinfo=UTC).timestamp()}


# ---- the decorators -----------------------------------------------------------------------------
def test_they_stand_above_a_task(taskflow_registry: Registry) -> None:
    with pytest.raises(RegistrationError, match="every stands above @task"):
        every(60)(print)  # type: ignore[type-var]
    made = Seen(taskflow_registry).task
    assert cron("@daily")(made) is made
    with pytest.raises(RegistrationError, match="name="):
        every(60)(made)
    every(60, name="other")(made)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: cron("0 0 31 2 *"), "cron: cron is '0 0 31 2"),
        (lambda: cron("0 0 * * *", tz="Mars/Base"), "pip install tzdata"),
        (lambda: every(0.1), "every: every is 0.1"),
        (lambda: once("tomorrow"), "once: at is 'tomorrow'"),
        (lambda: every(60, args=(1,)), "too many positional"),
        (lambda: every(60, **{"tz": "UTC"}), "does not know 'tz'"),  # type: ignore[arg-type]
        (lambda: every(60, name="a b"), "no spaces"),
    ],
)
def test_a_bad_one_is_refused_at_import(
    make: Callable[[], Callable[[Any], Any]], says: str, seen: Seen
) -> None:
    with pytest.raises(RegistrationError, match=says):
        make()(seen.task)


def test_an_import_declares_nothing(seen: Seen, taskflow_broker: Broker, work: Work) -> None:
    every(60)(seen.task)
    assert schedules.list().schedules == []
    work()
    assert [one.name for one in schedules.list().schedules] == ["note"]


def test_a_worker_declares_what_is_of_its_queues(
    taskflow_broker: Broker, taskflow_registry: Registry, seen: Seen
) -> None:
    every(60)(seen.task)
    every(60)(task(registry=taskflow_registry, name="far", queue="far")(lambda: None))
    Worker(taskflow_broker, "far", registry=taskflow_registry)
    assert [one.name for one in schedules.list().schedules] == ["far"]


def test_case_53_one_that_is_put_wakes_the_worker(
    taskflow_broker: Broker, taskflow_registry: Registry, watch: Watch, seen: Seen
) -> None:
    with running(taskflow_broker, taskflow_registry, watch):
        schedules.put("far", every="1d", task=seen.task)
        schedules.put("near", every=3, task=seen.task)
        watch.until(watch.done(1), step=1)
    assert seen.ticks[0] is not None
    assert seen.ticks[0] <= START + 6


# ---- deploys ------------------------------------------------------------------------------------
Deploy = Callable[..., Worker]


@pytest.fixture
def deploy(taskflow_broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Deploy:
    """A worker of a release starts; its code has these schedules, by interval."""

    def deploy(release: str = "", app: str = "shop", **intervals: float) -> Worker:
        monkeypatch.setenv("TASKFLOW_RELEASE", release)
        monkeypatch.setenv("TASKFLOW_APP", app)
        registry = Registry()
        seen = Seen(registry)
        for name, interval in intervals.items():
            every(interval, name=name)(seen.task)
        return Worker(taskflow_broker, registry=registry)

    return deploy


def found(name: str) -> tuple[float | None, str]:
    one = schedules.get(name)
    assert one is not None
    return one.every, one.release


def test_an_older_release_leaves_alone_what_a_newer_one_declared(deploy: Deploy) -> None:
    deploy("1.9", a=60)
    deploy("1.10", a=90)
    assert found("a") == (90, "1.10")
    deploy("1.9", a=60)
    assert found("a") == (90, "1.10")
    deploy("", a=60)
    assert found("a") == (90, "1.10")
    deploy("1.11", a=30)
    assert found("a") == (30, "1.11")


def test_other_times_are_not_made_up_for(deploy: Deploy, taskflow_clock: ManualClock) -> None:
    deploy("1", a=60)
    taskflow_clock.advance(3 * DAY + 45)
    worker = deploy("2", a=30)
    one = schedules.get("a")
    assert one is not None
    assert one.next_tick == START + 3 * DAY + 60
    assert worker.drain() == []


def test_a_deploy_at_the_tick_loses_none(
    deploy: Deploy, taskflow_clock: ManualClock, taskflow_broker: Broker
) -> None:
    deploy("1", a=60)
    taskflow_clock.advance(61)
    deploy("2", a=60)
    fire_due(taskflow_broker, "w")
    assert taskflow_broker.counts("q").visible == 1


def test_another_application_has_names_of_its_own(
    deploy: Deploy, caplog: pytest.LogCaptureFixture
) -> None:
    deploy("2", app="shop", a=60)
    deploy("3", app="crm", a=90)
    assert found("a") == (60, "2")
    assert "is of application 'shop'" in caplog.text


def test_what_code_has_no_more_is_paused_after_a_day(
    deploy: Deploy, taskflow_clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    deploy("1", a=60, b=HOUR)
    new = deploy("2", a=60)
    one = schedules.get("b")
    assert one is not None
    assert (one.state, one.missing_since) == ("active", START)
    for _ in range(24):
        assert state("b") == "active"
        taskflow_clock.advance(HOUR)
        new.drain()
    assert state("b") == "paused"
    assert "schedule b is in no code any more" in caplog.text
    assert state("a") == "active"
    deploy("3", a=60, b=HOUR)
    assert state("b") == "active"


def test_while_an_old_worker_has_it_nothing_is_paused(
    deploy: Deploy, taskflow_clock: ManualClock
) -> None:
    old = deploy(b=HOUR)
    new = deploy(a=60)
    for _ in range(30):
        taskflow_clock.advance(HOUR)
        old.tend()
        new.tend()
    assert state("b") == "active"


def test_one_that_was_paused_by_hand_stays_paused(deploy: Deploy) -> None:
    deploy("1", a=60)
    schedules.pause("a")
    deploy("2", a=90)
    assert (state("a"), found("a")) == ("paused", (90, "2"))


def test_code_is_the_truth(deploy: Deploy, seen: Seen) -> None:
    deploy("1", a=60)
    schedules.put("a", every=5, task=seen.task)
    assert found("a") == (5, "1")
    deploy("1", a=60)
    assert found("a") == (60, "1")


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.9", "1.10"),
        ("", "1"),
        ("2026.11.26", "2026.11.26.1"),
        ("v9", "v10"),
        ("2026-11-26T10:00", "2026-11-26T11:00"),
    ],
)
def test_releases_are_ordered(older: str, newer: str) -> None:
    assert is_older(older, newer)
    assert not is_older(newer, older)
    assert not is_older(newer, newer)
