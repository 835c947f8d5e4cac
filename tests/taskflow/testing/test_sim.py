"""taskflow.testing.Sim: an application on simulated time."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest
from freezegun import freeze_time

import taskflow.testing
from taskflow import (
    Broker,
    Registry,
    Reject,
    RetryPolicy,
    chain,
    cron,
    every,
    open_broker,
    publish,
    task,
)
from taskflow.errors import (
    BrokerUnavailable,
    ConfigError,
    HandlerTimeout,
    RunFailed,
    TopicNotFound,
)
from taskflow.event import Context
from taskflow.testing import Faults, ManualClock, Sim
from tests.taskflow.making import FIXED

MakeSim = Callable[..., Sim]


class Flaky:
    """Fails the first times."""

    def __init__(self, times: int, error: BaseException | None = None) -> None:
        self.times = times
        self.error = error or TimeoutError("away")

    def __call__(self, event: dict[str, Any]) -> None:
        self.times -= 1
        if self.times >= 0:
            raise self.error


def audit(registry: Registry, times: int, **options: Any) -> None:
    options.setdefault("policy", FIXED)
    registry.subscribe("order.created", queue="audit", **options)(Flaky(times).__call__)


# ---- the story ----------------------------------------------------------------------------------
def test_a_timeline_reads_like_a_story(taskflow_registry: Registry, taskflow_sim: MakeSim) -> None:
    audit(taskflow_registry, 2)
    sim = taskflow_sim(taskflow_registry)
    id = sim.publish("order.created", {"order_id": "ord_1"})
    sim.run_until_idle()
    told = "0 s failed: TimeoutError; 1 s failed: TimeoutError; 3 s done"
    for name in ("audit", "order.created"):
        assert sim.timeline(name) == told
    assert sim.timeline("audit", id=id) == told
    assert sim.timeline("audit", id="another") == ""
    assert [one.number for one in sim.attempts] == [1, 2, 3]
    sim.assert_delivered("audit", times=1)
    sim.assert_delivered("order.created")
    sim.assert_no_dead_letters()
    assert sim.clock.now() == sim.start + 3


def test_what_was_not_delivered_is_told(taskflow_registry: Registry, taskflow_sim: MakeSim) -> None:
    audit(taskflow_registry, 1)
    sim = taskflow_sim(taskflow_registry)
    with pytest.raises(AssertionError, match="done 0 times, not at least once: no attempt"):
        sim.assert_delivered("audit")
    sim.publish("order.created", {})
    sim.run_until_idle()
    with pytest.raises(AssertionError, match="done 1 times, not 2 times: 0 s failed: TimeoutE"):
        sim.assert_delivered("audit", times=2)
    with pytest.raises(ValueError, match="'aduit' is no queue, topic, handler or task here"):
        sim.timeline("aduit")


def test_the_outbox_holds_what_was_published(
    taskflow_registry: Registry, taskflow_sim: MakeSim
) -> None:
    @taskflow_registry.subscribe("order.created", queue="mail")
    def confirm(order: dict[str, Any]) -> None:
        publish("mail.sent", {"to": order["email"]})

    @task(registry=taskflow_registry, queue="tasks")
    def remind() -> None:
        publish("mail.sent", {"to": "ada"})

    sim = taskflow_sim(taskflow_registry, topics=["mail.sent"])
    sim.publish("order.created", {"email": "grace"})
    remind.delay()
    sim.run_until_idle()
    found = [(one.topic, one.payload) for one in sim.outbox if one.topic == "mail.sent"]
    assert sorted(found, key=str) == [("mail.sent", {"to": "ada"}), ("mail.sent", {"to": "grace"})]
    with pytest.raises(TopicNotFound):
        sim.publish("mail.snet", {})


# ---- errors -------------------------------------------------------------------------------------
def test_an_error_that_ends_in_the_dead_letters_fails_the_test_with_its_own_traceback(
    taskflow_registry: Registry, taskflow_sim: MakeSim
) -> None:
    audit(taskflow_registry, 9)
    sim = taskflow_sim(taskflow_registry)
    sim.publish("order.created", {})
    with pytest.raises(TimeoutError, match="away") as caught:
        sim.run_until_idle()
    frames = [entry.name for entry in caught.traceback]
    assert frames[-1] == "__call__"
    assert "execute" not in frames
    sim.assert_dead("audit", reason="away", times=1)
    sim.assert_dead(reason="TimeoutError")
    with pytest.raises(AssertionError, match="0 dead letters with 'fraud', not any; there are: "):
        sim.assert_dead("audit", reason="fraud")
    with pytest.raises(AssertionError, match=r"there are dead letters:\norder\.created"):
        sim.assert_no_dead_letters()


def test_what_is_expected_does_not(taskflow_registry: Registry, taskflow_sim: MakeSim) -> None:
    @taskflow_registry.subscribe("order.created", queue="audit")
    def record(event: Any) -> None:
        raise Reject("fraud")

    sim = taskflow_sim(taskflow_registry)
    sim.expect(Reject)
    sim.publish("order.created", {})
    sim.run_until_idle()
    sim.assert_dead("record", reason="fraud", times=1)
    assert sim.timeline("audit") == "0 s dead: fraud"


def test_an_assertion_of_a_double_fails_at_once(
    taskflow_registry: Registry, taskflow_sim: MakeSim
) -> None:
    @taskflow_registry.subscribe("order.created", queue="audit", retries=5)
    def record(event: Any) -> None:
        assert event == "never"

    sim = taskflow_sim(taskflow_registry)
    sim.publish("order.created", {})
    with pytest.raises(AssertionError):
        sim.run_until_idle()
    assert len(sim.attempts) == 1


def test_a_handler_that_calls_itself_is_noticed(
    taskflow_registry: Registry, taskflow_sim: MakeSim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskflow.testing.simulation.stage.MOST_AT_ONCE", 50)

    @taskflow_registry.subscribe("again", queue="work")
    def again(event: Any) -> None:
        publish("again", event)

    sim = taskflow_sim(taskflow_registry)
    sim.publish("again", 1)
    with pytest.raises(RuntimeError, match=r"50 attempts at one moment.*again"):
        sim.run_until_idle()


def test_what_goes_on_forever_is_noticed(
    taskflow_registry: Registry, taskflow_sim: MakeSim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskflow.testing.simulation.stage.MOST", 40 * 86400.0)

    @taskflow_registry.subscribe("again", queue="work")
    def again(event: Any) -> None:
        publish("again", event, delay=86400)

    sim = taskflow_sim(taskflow_registry)
    sim.publish("again", 1)
    with pytest.raises(RuntimeError, match="it goes on and on, for 40 d by now"):
        sim.run_until_idle()


# ---- tasks and schedules ------------------------------------------------------------------------
def test_call_answers_what_a_task_returns(
    taskflow_registry: Registry, taskflow_sim: MakeSim
) -> None:
    @task(registry=taskflow_registry, retries=2)
    def add(x: int, y: int) -> int:
        if not sim.attempts:
            raise TimeoutError
        return x + y

    sim = taskflow_sim(taskflow_registry)
    assert sim.call(add, 1, 2) == 3
    assert sim.call(add.options(delay="5m", result="1h"), 1, y=4) == 5
    assert sim.clock.now() >= sim.start + 300
    assert add.call(2, 2) == 4, "who waits for a result lets time pass"
    both = chain(add.s(1, 2), add.s(3)).delay()
    assert both.get() == 6
    with pytest.raises(TypeError):
        sim.call(add, 1)


def test_call_raises_what_fails(taskflow_registry: Registry, taskflow_sim: MakeSim) -> None:
    @task(registry=taskflow_registry, retries=1, backoff=0)
    def fail() -> None:
        raise ValueError("no")

    sim = taskflow_sim(taskflow_registry)
    with pytest.raises(ValueError, match="no"):
        sim.call(fail)
    sim.expect(ValueError)
    with pytest.raises(RunFailed):
        sim.call(fail)


def test_a_wait_for_what_never_comes_is_noticed(
    taskflow_registry: Registry, taskflow_sim: MakeSim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskflow.testing.simulation.stage.MOST_IN_VAIN", 10)

    @task(registry=taskflow_registry, result="1d")
    def never() -> None: ...

    sim = taskflow_sim(taskflow_registry)
    sim.broker.pause("default")
    with pytest.raises(AssertionError, match="is waiting, and nothing is left to do"):
        sim.call(never)
    with pytest.raises(RuntimeError, match="what is waited for never comes"):
        never.delay().get()


def test_schedules_go_on_while_time_passes(
    taskflow_registry: Registry, taskflow_sim: MakeSim
) -> None:
    @cron("0 9 * * *", tz="Europe/Berlin")
    @task(registry=taskflow_registry)
    def report() -> None: ...

    @every("10m")
    @task(registry=taskflow_registry)
    def look() -> None: ...

    sim = taskflow_sim(taskflow_registry)
    sim.run_until_idle()
    assert sim.attempts == [], "a tick that is to come is no work"
    sim.run_for("1d")
    sim.assert_delivered("report", times=1)
    sim.assert_delivered("look", times=144)
    assert sim.clock.now() == sim.start + 86400


def test_an_outage_is_time_in_which_nobody_works(
    taskflow_registry: Registry, taskflow_sim: MakeSim
) -> None:
    @every("10m", catchup="2h", missed="all")
    @task(registry=taskflow_registry)
    def look() -> None: ...

    sim = taskflow_sim(taskflow_registry)
    sim.advance("1h")
    sim.run_until_idle()
    assert sim.timeline("look") == "; ".join(["1 h done"] * 6)


def test_a_run_that_outlives_its_interval_is_waited_for(
    taskflow_registry: Registry, taskflow_sim: MakeSim
) -> None:
    @every("1m")
    @task(registry=taskflow_registry)
    def slow() -> None:
        sim.advance("90s")

    sim = taskflow_sim(taskflow_registry)
    sim.run_for("5m")
    assert sim.timeline("slow") == "1 min done; 3 min done; 5 min done"


def test_a_rate_holds_and_so_does_a_concurrency(
    taskflow_registry: Registry, taskflow_sim: MakeSim
) -> None:
    most = running = 0

    @taskflow_registry.subscribe("rated", queue="rated", rate="6/m")
    def rated(event: Any) -> None: ...

    @taskflow_registry.subscribe("narrow", queue="narrow", concurrency=2)
    def narrow(event: Any) -> None:
        nonlocal most, running
        running += 1
        most = max(most, running)
        sim.advance(10)
        running -= 1

    sim = taskflow_sim(taskflow_registry)
    for number in range(5):
        sim.publish("rated", number)
    sim.run_until_idle()
    assert sim.timeline("rated") == "0 s done; 10 s done; 20 s done; 30 s done; 40 s done"
    for number in range(6):
        sim.publish("narrow", number)
    sim.run_until_idle()
    assert most == 2


# ---- time within a handler ----------------------------------------------------------------------
def test_a_handler_that_takes_too_long_ends_as_a_workers_does(
    taskflow_registry: Registry, taskflow_sim: MakeSim
) -> None:
    ended: list[str] = []

    @taskflow_registry.subscribe("made", queue="sync", timeout=30, policy=FIXED)
    def sync(event: Any, ctx: Context) -> None:
        try:
            sim.advance(40 if ctx.attempt == 1 else 20)
        finally:
            ended.append("sync")

    @taskflow_registry.subscribe("made", queue="async", timeout=30, policy=FIXED)
    async def coroutine(event: Any, ctx: Context) -> None:
        try:
            await asyncio.wait_for(asyncio.Event().wait(), 40 if ctx.attempt == 1 else 20)
        except TimeoutError:
            return
        finally:
            ended.append("async")

    sim = taskflow_sim(taskflow_registry, workers=1)
    sim.publish("made", 1)
    sim.run_until_idle()
    for queue in ("sync", "async"):
        (first, second) = [one for one in sim.attempts if one.queue == queue]
        assert isinstance(first.error, HandlerTimeout)
        assert first.ended_at - first.at == pytest.approx(30)
        assert second.outcome == "done"
        assert second.ended_at - second.at == pytest.approx(20)
    assert sorted(ended) == ["async", "async", "sync", "sync"]


def test_a_handler_that_swallows_its_interrupts_is_given_up(
    taskflow_registry: Registry, taskflow_sim: MakeSim
) -> None:
    swallowed = 0

    @taskflow_registry.subscribe("made", queue="work", timeout=30, retries=0)
    def stubborn(event: Any) -> None:
        nonlocal swallowed
        while swallowed < 20:
            try:
                sim.advance(40)
                return
            except BaseException:
                swallowed += 1

    sim = taskflow_sim(taskflow_registry, workers=1)
    sim.expect(HandlerTimeout)
    sim.publish("made", 1)
    sim.run_until_idle()
    assert sim.timeline("work") == "0 s dead: HandlerTimeout"
    assert swallowed == 5


def test_a_lease_is_extended_while_a_handler_runs(
    taskflow_registry: Registry, taskflow_sim: MakeSim
) -> None:
    @taskflow_registry.subscribe("made", queue="work", visibility_timeout=30)
    def long(event: Any) -> None:
        sim.advance("4m")

    sim = taskflow_sim(taskflow_registry)
    sim.publish("made", 1)
    sim.run_until_idle()
    assert sim.timeline("work") == "0 s done"


def test_others_go_on_while_a_handler_runs(
    taskflow_registry: Registry, taskflow_sim: MakeSim
) -> None:
    @taskflow_registry.subscribe("slow", queue="slow")
    def slow(event: Any) -> None:
        sim.advance(20)

    @taskflow_registry.subscribe("quick", queue="quick")
    def quick(event: Any) -> None: ...

    for workers, begun in ((4, "10 s done"), (1, "20 s done")):
        sim = taskflow_sim(taskflow_registry, workers=workers)
        sim.publish("slow", 1)
        sim.publish("quick", 1, delay=10)
        sim.run_until_idle()
        assert sim.timeline("quick") == begun


def test_within_a_handler_only_advance_lets_time_pass(
    taskflow_registry: Registry, taskflow_sim: MakeSim
) -> None:
    @taskflow_registry.subscribe("made", queue="work", retries=0)
    def handle(event: Any) -> None:
        sim.run_until_idle()

    sim = taskflow_sim(taskflow_registry)
    sim.publish("made", 1)
    with pytest.raises(RuntimeError, match=r"within it, let time pass by sim\.advance"):
        sim.run_until_idle()


# ---- a world of its own -------------------------------------------------------------------------
def test_there_is_no_other_broker(
    taskflow_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKFLOW_BROKER", "sqlite:////nosuch/production.db")
    audit(taskflow_registry, 0)
    with Sim(taskflow_registry) as sim:
        publish("order.created", {})
        sim.run_until_idle()
        sim.assert_delivered("audit", times=1)
        with pytest.raises(ConfigError, match="a simulation is on, whose broker is its own"):
            open_broker()
        with pytest.raises(ConfigError, match="no broker can be opened"):
            open_broker("memory://")
    open_broker("memory://").close()


def test_what_cannot_be_is_refused(taskflow_registry: Registry, taskflow_broker: Broker) -> None:
    audit(taskflow_registry, 0)
    with pytest.raises(TypeError, match="a Registry is wanted, and its broker is its own"):
        Sim(taskflow_broker)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="workers is 0; a number of workers, 1 or more"):
        Sim(taskflow_registry, workers=0)
    with pytest.raises(ValueError, match=r"Faults\(crashes=2\): a rate from 0 to 1 is wanted"):
        Faults(crashes=2)
    with pytest.raises(ConfigError, match="no subscription was loaded"):
        Sim(Registry())
    with Sim(taskflow_registry) as sim:
        with pytest.raises(ValueError, match="run_for is 'soon', which is no duration"):
            sim.run_for("soon")
        with pytest.raises(ValueError, match="advance is -1, which is no duration"):
            sim.advance(-1)


def test_freezegun_shows_the_simulated_time(taskflow_registry: Registry) -> None:
    seen = []

    @taskflow_registry.subscribe("made", queue="work")
    def look(event: Any) -> None:
        seen.append(datetime.today().isoformat())

    with freeze_time("2026-11-22 12:00:00") as frozen:
        start = datetime.fromisoformat("2026-11-22T12:00:00+00:00").timestamp()
        with Sim(taskflow_registry, start=start, frozen=frozen) as sim:
            sim.publish("made", 1, delay=3600)
            sim.run_until_idle()
    assert seen == ["2026-11-22T13:00:00"]


def test_an_asyncio_test_awaits_it(taskflow_registry: Registry, taskflow_sim: MakeSim) -> None:
    @task(registry=taskflow_registry, retries=1)
    async def add(x: int, y: int) -> int:
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 60)
        return x + y

    sim = taskflow_sim(taskflow_registry)

    async def test() -> None:
        add.delay(1, 2)
        await sim.run_until_idle_async()
        sim.assert_delivered("add", times=1)
        assert await sim.call_async(add, 3, 4) == 7
        add.delay(1, 2)
        sim.run_until_idle()
        await sim.run_for_async("1h")

    asyncio.run(test())
    assert sim.timeline("add") == "0 s done; 1 min done; 2 min done"


def test_a_real_thread_of_a_coroutine_is_waited_for(
    taskflow_registry: Registry, taskflow_sim: MakeSim
) -> None:
    begun = threading.Event()

    @task(registry=taskflow_registry, result="1d")
    async def work() -> str:
        async with asyncio.timeout(3600):
            return await asyncio.to_thread(lambda: str(begun.wait(0)))

    sim = taskflow_sim(taskflow_registry)
    assert sim.call(work) == "False"


def test_the_end_of_its_threads_is_waited_for(
    taskflow_registry: Registry, taskflow_sim: MakeSim
) -> None:
    class Late(ThreadPoolExecutor):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            given_up.wait(0.05)  # real seconds, in which the loop must not turn its clock
            super().shutdown(wait, cancel_futures=cancel_futures)

    @task(registry=taskflow_registry, result="1d")
    async def work() -> str:
        asyncio.get_running_loop().set_default_executor(Late())
        return await asyncio.to_thread(str, 1)

    given_up = threading.Event()
    sim = taskflow_sim(taskflow_registry)
    began = sim.clock.now()
    assert sim.call(work) == "1"
    assert sim.clock.now() == began


def test_a_note_tells_the_history_of_a_block_that_failed(taskflow_registry: Registry) -> None:
    audit(taskflow_registry, 0)

    def test() -> None:
        with Sim(taskflow_registry, seed=5) as sim:
            sim.publish("order.created", {}, id="evt_1")
            sim.run_until_idle()
            raise KeyError

    with pytest.raises(KeyError) as caught:
        test()
    (note,) = caught.value.__notes__
    assert note.startswith("simulated 0 s, seed 5\n  0 s: worker-1 ")
    assert note.endswith("(event order.created evt_1, attempt 1): done")


def test_one_seed_is_one_history(taskflow_registry: Registry) -> None:
    @taskflow_registry.subscribe("made", queue="work", policy=RetryPolicy(retries=9))
    def work(event: Any, ctx: Context) -> None:
        if ctx.attempt < 4:
            raise BrokerUnavailable

    def history(seed: int) -> str:
        with Sim(taskflow_registry, seed=seed, faults=Faults(0.1, 0.1, 0.1, 0.1, 0.1, 0.1)) as sim:
            for number in range(9):
                sim.publish("made", number)
            sim.run_until_idle()
            return sim.history()

    assert history(1) == history(1)
    assert history(1).partition("\n")[2] != history(2).partition("\n")[2]


def test_the_clock_of_a_simulation_parks_other_threads() -> None:
    registry = Registry()
    audit(registry, 0)
    with Sim(registry) as sim:
        assert isinstance(sim.clock, ManualClock)
        condition = threading.Condition()
        with condition:
            assert sim.clock.wait(condition, 60) is False
        assert sim.clock.now() == sim.start + 60


def test_the_public_names_are_exactly_these() -> None:
    assert sorted(taskflow.testing.__all__) == [
        "Attempt",
        "FaultBroker",
        "Faults",
        "ManualClock",
        "Run",
        "Sim",
        "chaos",
        "crash_matrix",
        "drain",
        "memory_broker",
        "wire_server",
    ]
    assert all(getattr(taskflow.testing, name).__doc__ for name in taskflow.testing.__all__)
