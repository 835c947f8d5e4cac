"""Firing what is due: each tick once, whoever does it, and what becomes of missed ones."""

import itertools
import random
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import pytest

from taskflow import Broker, Event, Registry, Worker, every, once, schedules, task
from taskflow.broker.change import Change, Put
from taskflow.broker.record import Record
from taskflow.errors import BrokerUnavailable
from taskflow.scheduling.due_schedules import fire, fire_due, look
from taskflow.scheduling.missed_ticks import what_is_due
from taskflow.scheduling.spec import MISSED, OVERLAPS, Overlap
from taskflow.scheduling.timing import Timing
from taskflow.tasks.turn import HELD, TICKER
from taskflow.testing import FaultBroker, ManualClock, memory_broker
from tests.taskflow.scheduling.conftest import Seen, Work

START = 1_800_000_000.0  # of ManualClock; a multiple of an hour
HOUR = 3600.0


def test_an_interval(taskflow_clock: ManualClock, seen: Seen, work: Work) -> None:
    every("10s")(seen.task)
    assert work() == 0
    for _ in range(3):
        taskflow_clock.advance(9)
        work()
    assert seen.ticks == [START + 10, START + 20]
    assert seen.late == [8.0, 7.0]
    found = schedules.get("note")
    assert found is not None
    assert (found.fired, found.missed, found.last_tick) == (2, 0, START + 20)
    assert (found.next_tick, found.source, found.queue) == (START + 30, "code", "q")


def test_once(taskflow_clock: ManualClock, seen: Seen, work: Work) -> None:
    once(START + 90)(seen.task)
    work()
    taskflow_clock.advance(89)
    assert work() == 0
    taskflow_clock.advance(2)
    assert work() == 1
    taskflow_clock.advance(10 * HOUR)
    assert work() == 0
    assert seen.ticks == [START + 90]
    found = schedules.get("note")
    assert found is not None
    assert (found.state, found.next_tick) == ("ended", None)


@pytest.mark.parametrize(("ago", "runs"), [(HOUR - 1, 1), (HOUR + 1, 0)])
def test_once_in_the_past_runs_if_it_is_not_too_old(
    ago: float, runs: int, seen: Seen, work: Work
) -> None:
    once(START - ago)(seen.task)
    assert work() == runs
    found = schedules.get("note")
    assert found is not None
    assert (found.state, found.missed) == ("ended", 1 - runs)


def test_an_event(taskflow_registry: Registry, taskflow_clock: ManualClock, work: Work) -> None:
    got: list[Event[dict[str, int]]] = []

    @taskflow_registry.subscribe("day.ended", queue="days")
    def handle(event: Event[dict[str, int]]) -> None:
        got.append(event)

    work()
    schedules.put("days", every="1m", publish=("day.ended", {"n": 1}))
    taskflow_clock.advance(61)
    assert work() == 1
    assert [(one.id, one.payload, one.topic) for one in got] == [
        (f"days@{START + 60:.0f}", {"n": 1}, "day.ended")
    ]


def test_a_tick_of_a_task_with_a_result_can_be_asked_for(
    taskflow_registry: Registry, taskflow_clock: ManualClock, work: Work
) -> None:
    from taskflow import Result

    @every(60, args=(2,), kwargs={"y": 3})
    @task(registry=taskflow_registry, name="add", result="1h")
    def add(x: int, y: int) -> int:
        return x + y

    work()
    taskflow_clock.advance(60)
    work()
    assert Result(f"add@{START + 60:.0f}").get(0) == 5


# ---- each once ----------------------------------------------------------------------------------
@pytest.mark.parametrize("overlap", OVERLAPS)
def test_cases_48_to_50_two_who_saw_the_same_tick_fire_it_once(
    overlap: Overlap, taskflow_broker: Broker, taskflow_clock: ManualClock, seen: Seen, work: Work
) -> None:
    every(60, overlap=overlap)(seen.task)
    work()
    taskflow_clock.advance(60)
    now = taskflow_clock.now()
    one, _ = look(taskflow_broker, now)
    other, _ = look(taskflow_broker, now)
    assert len(one) == len(other) == 1
    assert fire(taskflow_broker, one, now)
    assert fire(taskflow_broker, other, now)
    assert work() == 1
    assert seen.ticks == [START + 60]


def test_case_50_a_storm_of_restarts_at_the_tick(
    taskflow_clock: ManualClock, seen: Seen, work: Work
) -> None:
    every(60)(seen.task)
    for _ in range(70):
        work()
        taskflow_clock.advance(1)
    assert seen.ticks == [START + 60]


def test_case_45_never_two_of_one_tick_when_clocks_are_set(
    taskflow_clock: ManualClock, seen: Seen, work: Work
) -> None:
    """Back by an hour, what was fired is not fired again, and it goes on when its time comes;
    forward, the newest tick is fired."""
    every("10m", name="note")(seen.task)
    work()
    for moment in (600, 1200, -2400, 600, 1200, 1800, 5400, 1800, 5400, 6000):
        taskflow_clock.set(START + moment)
        work()
    ticks = [tick - START for tick in seen.ticks if tick is not None]
    assert ticks == [600, 1200, 1800, 5400, 6000]
    found = schedules.get("note")
    assert found is not None
    assert (found.fired, found.missed) == (5, 5)


def test_case_51_after_eight_hours_of_sleep(
    taskflow_clock: ManualClock, taskflow_registry: Registry, work: Work
) -> None:
    for missed in MISSED:
        made = task(registry=taskflow_registry, name=missed)(lambda: None)
        every("30m", missed=missed)(made)
    work()
    taskflow_clock.advance(8 * HOUR + 300)
    assert work() == 1 + 0 + 16
    found = {one.name: (one.fired, one.missed) for one in schedules.list().schedules}
    assert found == {"last": (1, 15), "skip": (0, 16), "all": (16, 0)}
    taskflow_clock.advance(1500)
    assert work() == 3


def test_all_that_was_missed_is_a_hundred_at_most(
    taskflow_clock: ManualClock, seen: Seen, work: Work
) -> None:
    every(60, missed="all")(seen.task)
    work()
    taskflow_clock.advance(1000 * 60)
    assert work() == 100
    assert seen.ticks == [START + 60 * number for number in range(901, 1001)]


@pytest.mark.parametrize(
    ("missed", "catchup", "late", "fires"),
    [
        ("last", None, 0, 1),
        ("last", None, 599, 1),
        ("last", 30.0, 30, 1),
        ("last", 30.0, 31, 0),
        ("last", 7200.0, 599, 1),
        ("skip", None, 60, 1),
        ("skip", None, 61, 0),
        ("all", None, 599, 3),
        ("all", 700.0, 599, 1),
    ],
)
def test_what_is_done_about_missed_ticks(
    missed: str, catchup: float | None, late: float, fires: int
) -> None:
    timing = Timing(every=600.0)
    due = what_is_due(timing, missed, catchup, 0.0, START - 1200, START + late)  # type: ignore[arg-type]
    assert len(due.fire) == fires
    assert due.fire == [START - 1200, START - 600, START][3 - fires :]
    assert (due.missed, due.next) == (3 - fires, START + 600)


def test_a_daily_job_is_caught_up_within_an_hour_only() -> None:
    timing = Timing(cron="0 9 * * *", tz="Europe/Berlin")
    nine = timing.next(START)
    assert nine is not None
    for late, fires in ((HOUR, [nine]), (HOUR + 1, [])):
        assert what_is_due(timing, "last", None, 0.0, nine, nine + late).fire == fires


# ---- overlap ------------------------------------------------------------------------------------
def test_case_55_a_tick_is_skipped_while_the_run_before_goes_on(
    taskflow_broker: Broker, taskflow_clock: ManualClock, seen: Seen, work: Work
) -> None:
    every(60)(seen.task)
    work()
    taskflow_clock.advance(60)
    fire_due(taskflow_broker, "w")
    taskflow_broker.receive("q", limit=1)  # it runs somewhere
    for _ in range(3):
        taskflow_clock.advance(60)
        fire_due(taskflow_broker, "w")
    assert taskflow_broker.counts("q").in_flight + taskflow_broker.counts("q").visible == 1
    assert work() == 1
    found = schedules.get("note")
    assert found is not None
    assert (found.fired, found.skipped) == (1, 3)
    taskflow_clock.advance(60)
    assert work() == 1
    assert seen.ticks == [START + 60, START + 300]


def test_one_tick_waits(
    taskflow_broker: Broker, taskflow_clock: ManualClock, seen: Seen, work: Work
) -> None:
    every(60, overlap="queue")(seen.task)
    work()
    for _ in range(3):
        taskflow_clock.advance(60)
        fire_due(taskflow_broker, "w")
    found = schedules.get("note")
    assert found is not None
    assert (found.fired, found.waiting, found.skipped) == (1, START + 120, 1)
    assert work() == 1
    taskflow_clock.advance(2)  # then another worker may be the one who fires
    assert work() == 1
    found = schedules.get("note")
    assert found is not None
    assert (found.fired, found.waiting, found.skipped) == (2, None, 1)
    taskflow_clock.advance(58)
    assert work() == 1
    assert seen.ticks == [START + 60, START + 120, START + 240]


def test_the_run_before_is_cancelled(
    taskflow_broker: Broker, taskflow_clock: ManualClock, seen: Seen, work: Work
) -> None:
    every(60, overlap="cancel")(seen.task)
    work()
    for _ in range(3):
        taskflow_clock.advance(60)
        fire_due(taskflow_broker, "w")
    work()
    assert seen.ticks == [START + 180]
    states = {one.key: one.state for one in _runs(taskflow_broker)}
    assert states == {
        f"note@{START + 60:.0f}": "cancelled",
        f"note@{START + 120:.0f}": "cancelled",
        f"note@{START + 180:.0f}": "done",
    }


def test_several_at_once(
    taskflow_broker: Broker, taskflow_clock: ManualClock, seen: Seen, work: Work
) -> None:
    every(60, overlap="allow")(seen.task)
    work()
    for _ in range(3):
        taskflow_clock.advance(60)
        fire_due(taskflow_broker, "w")
    assert _runs(taskflow_broker) == []  # nobody asks what becomes of it
    assert work() == 3
    assert seen.ticks == [START + 60, START + 120, START + 180]


def _runs(broker: Broker) -> list[Record]:
    from taskflow.broker.record import RecordQuery

    return list(broker.list_records(RecordQuery(kind="run", order="oldest")).records)


# ---- trouble ------------------------------------------------------------------------------------
def test_a_bad_schedule_holds_nobody(
    taskflow_broker: Broker,
    taskflow_clock: ManualClock,
    seen: Seen,
    work: Work,
    caplog: pytest.LogCaptureFixture,
) -> None:
    every(60)(seen.task)
    work()
    schedules.put("gone", every=60, task="nobody", queue="not-there")
    schedules.put("nowhere", every=60, publish=("never.declared", 1))
    garbage = Put(kind="schedule", key="bad", value="{", state="active", due_at=START + 60)
    zone = Put(
        kind="schedule",
        key="zone",
        value='{"spec":{"timing":{"cron":"0 0 * * *","tz":"Mars/Base"},"topic":"a"},"next_tick":1}',
        state="active",
        due_at=START + 60,
    )
    taskflow_broker.apply([Change(records=[garbage]), Change(records=[zone])])
    taskflow_clock.advance(60)
    work()
    assert seen.ticks == [START + 60]
    bad = {one.name: one for one in schedules.list().schedules if one.failed}
    assert sorted(bad) == ["bad", "gone", "nowhere", "zone"]
    assert {one.due_at for one in bad.values()} == {START + 120}
    assert {one.failed for one in bad.values()} == {1}
    assert bad["bad"].state == "unreadable"
    for says in ("no queue named 'not-there'", "never.declared", "cannot be read", "Mars/Base"):
        assert says in caplog.text
    taskflow_broker.create_queue("not-there")
    taskflow_clock.advance(60)
    work()
    assert taskflow_broker.counts("not-there").visible == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_case_56_a_store_that_stalls(
    when: Literal["before", "after"], seen: Seen, taskflow_registry: Registry
) -> None:
    clock = ManualClock()
    broker: Any = FaultBroker(memory_broker(clock=clock))
    every(60)(seen.task)
    worker = Worker(broker, registry=taskflow_registry)
    clock.advance(60)
    broker.fail("apply", 2, when)
    with pytest.raises(BrokerUnavailable):
        worker.tend()
    assert len(worker.drain()) == 1
    assert seen.ticks == [START + 60]
    broker.close()


@pytest.mark.slow
def test_jitter_is_drawn_for_each_tick(taskflow_registry: Registry) -> None:
    clock = ManualClock()
    broker = memory_broker(clock=clock, seed=7)
    made = Seen(taskflow_registry)
    every("10m", jitter="1m")(made.task)
    worker = Worker(broker, registry=taskflow_registry)
    for _ in range(3 * 600):
        clock.advance(1)
        worker.drain()
    assert made.ticks == [START + 600, START + 1200, START + 1800][: len(made.ticks)]
    assert len(made.ticks) >= 2
    assert all(0 <= late <= 61 for late in made.late)
    assert len(set(made.late)) > 1
    broker.close()


# ---- put, replaced and removed at the moment ----------------------------------------------------
Step = tuple[str, Callable[[], object]]


@pytest.mark.parametrize("change", ["put", "same", "remove", "pause", "run"])
@pytest.mark.parametrize("overlap", ["allow", "skip"])
def test_case_54_every_order_of_two_who_fire_and_one_who_changes(
    change: str, overlap: Overlap, taskflow_registry: Registry
) -> None:
    made = Seen(taskflow_registry)
    for order in set(itertools.permutations("AABBC")):
        clock = ManualClock()
        broker = memory_broker(clock=clock)
        worker = Worker(broker, registry=taskflow_registry)

        def put(every: int, broker: Broker = broker) -> None:
            schedules.put("s", every=every, task=made.task, overlap=overlap, broker=broker)

        put(60)
        clock.advance(60)
        now = clock.now()
        actions: dict[str, Callable[[], object]] = {
            "put": lambda: put(90),
            "same": lambda: put(60),
            "remove": partial(schedules.remove, "s", broker=broker),
            "pause": partial(schedules.pause, "s", broker=broker),
            "run": partial(schedules.run_now, "s", broker=broker),
        }
        looked: dict[str, object] = {}
        fired_before = False
        for one in order:
            if one == "C":
                fired_before = broker.counts("q").visible == 1
                actions[change]()
            elif one not in looked:
                looked[one] = look(broker, now)[0]
            else:
                fire(broker, looked[one], now)  # type: ignore[arg-type]
        sent = broker.counts("q").visible
        if change in ("put", "remove", "pause"):
            assert sent == int(fired_before), order
        else:
            assert sent == 1 + (change == "run"), order
        fire_due(broker, "w")
        assert broker.counts("q").visible == sent
        made.ticks.clear()
        worker.drain()
        assert made.ticks.count(START + 60) == sent or change == "run"
        broker.close()


@pytest.mark.slow
def test_two_workers_at_random_fire_each_tick_once(taskflow_registry: Registry) -> None:
    """Looks and fires of four workers in any order, while the clock goes on and is set back."""
    made = Seen(taskflow_registry)
    dice = random.Random(54)
    for _ in range(10):
        clock = ManualClock()
        broker = memory_broker(clock=clock, seed=dice.randrange(1000))
        worker = Worker(broker, registry=taskflow_registry)
        schedules.put("s", every=7, task=made.task, overlap="allow", broker=broker)
        seen_by: dict[int, tuple[list[Record], float]] = {}
        for _ in range(60):
            who = dice.randrange(4)
            clock.advance(dice.choice([0, 0, 1, 3, 8, -5]))
            if who in seen_by:
                fire(broker, *seen_by.pop(who))
            else:
                seen_by[who] = list(look(broker, clock.now())[0]), clock.now()
            worker.drain()
        assert len(made.ticks) == len(set(made.ticks)) > 1
        made.ticks.clear()
        broker.close()


def test_the_first_of_many_go_in_a_small_batch(seen: Seen) -> None:
    clock = ManualClock()
    broker: Any = FaultBroker(memory_broker(clock=clock))
    broker.create_queue("q")
    for number in range(700):
        schedules.put(f"s{number:03}", every=60, task=seen.task, broker=broker)
    clock.advance(60)
    batches: list[int] = []
    looks: list[int] = []
    apply, list_records = broker.apply, broker.list_records

    def applied(changes: list[Change], *given: Any, **named: Any) -> Any:
        batches.append(len(changes))
        return apply(changes, *given, **named)

    def listed(query: Any, *given: Any, **named: Any) -> Any:
        page = list_records(query, *given, **named)
        looks.append(len(page.records))
        return page

    broker.apply, broker.list_records = applied, listed
    assert broker.hold(TICKER, "one", 60.0)
    assert fire_due(broker, "two") == clock.now() + HELD
    assert (looks, batches) == ([20], [])  # who does not fire has looked at few
    assert fire_due(broker, "one") == clock.now() + 60
    assert batches == [20, 100, 500, 80]
    assert broker.counts("q").visible == 700
    broker.close()


@pytest.mark.slow
@pytest.mark.parametrize("overlap", ["allow", "skip"])
def test_ten_thousand_on_one_minute(overlap: Overlap, taskflow_registry: Registry) -> None:
    clock = ManualClock()
    broker = memory_broker(clock=clock)
    made = Seen(taskflow_registry)
    Worker(broker, registry=taskflow_registry)
    for number in range(10_000):
        schedules.put(
            f"s{number}", cron="*/5 * * * *", task=made.task, overlap=overlap, broker=broker
        )
    clock.set(START + 300)
    first, _ = look(broker, clock.now())
    fire_due(broker, "one")
    fire(broker, first, clock.now())
    assert broker.counts("q").visible == 10_000
    broker.close()
