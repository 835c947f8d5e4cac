"""The table of what is in flight, without threads: states, groups, slots and leases."""

from collections.abc import Callable

import pytest

from taskflow import Broker, Registry, Worker, publish
from taskflow.retry import Done, Retry
from taskflow.testing import ManualClock
from taskflow.worker.inflight import SOON, Inflight
from taskflow.worker.job import Job, State
from taskflow.worker.slots import SYNC, Slots
from taskflow.worker.timeouts import LoopThread, Running
from tests.taskflow.worker.hands import Hands

TOPIC, QUEUE, SLOTS = "made.fifo", "work.fifo", 4


@pytest.fixture
def worker(taskflow_broker: Broker, taskflow_registry: Registry) -> Worker:
    taskflow_registry.subscribe(TOPIC, queue=QUEUE, retries=9)(lambda payload: None)
    return Worker(taskflow_broker, registry=taskflow_registry)


@pytest.fixture
def slots(worker: Worker) -> Slots:
    return Slots(worker.registry, {SYNC: SLOTS})


@pytest.fixture
def hands(worker: Worker, slots: Slots) -> Hands:
    return Hands(worker, slots)


@pytest.fixture
def inflight(hands: Hands) -> Inflight:
    return hands.inflight


@pytest.fixture
def add(hands: Hands) -> Callable[..., list[Job]]:
    """Publish, receive, and hold; the letter in front is the group."""

    def add(*names: str) -> list[Job]:
        for name in names:
            publish(TOPIC, name, id=name, group=name[0])
        jobs = hands.take(len(names))
        hands.inflight.check()
        return jobs

    return add


def ids(jobs: list[Job]) -> list[str]:
    return [job.delivery.id for job in jobs]


def test_what_waits_takes_no_slot(
    inflight: Inflight, slots: Slots, add: Callable[..., list[Job]]
) -> None:
    jobs = add("a1", "a2", "a3", "b1")
    assert ids(list(inflight.ready)) == ["a1", "b1"]
    assert [job.state for job in jobs if job not in inflight.ready] == [State.WAITING] * 2
    assert slots.room(QUEUE) == SLOTS - 2
    assert len(inflight) == 4


def test_a_lapsed_job_takes_those_behind_it_along(
    hands: Hands,
    slots: Slots,
    add: Callable[..., list[Job]],
    taskflow_broker: Broker,
    taskflow_clock: ManualClock,
) -> None:
    jobs = add("a1", "a2", "a3")
    taskflow_clock.advance(30)
    assert hands.inflight.start() is None
    assert [job.state for job in jobs] == [State.GONE, State.RETURNED, State.RETURNED]
    hands.inflight.check()
    hands.settler.flush()
    assert len(hands.inflight) == 0
    assert slots.room(QUEUE) == SLOTS
    assert [found.receive_count for found in taskflow_broker.peek(QUEUE)] == [1, 0, 0]


def test_jobs_that_no_thread_took_leave_with_those_behind_them(
    hands: Hands, slots: Slots, add: Callable[..., list[Job]]
) -> None:
    inflight = hands.inflight
    add("a1", "a2", "b1")
    running = inflight.start()
    assert running is not None
    assert running.delivery.id == "a1"
    assert ids(inflight.return_ready()) == ["b1"], "a2 waits for a1, which has a thread"
    assert slots.room(QUEUE) == SLOTS - 1
    assert ids(inflight.return_unstarted()) == ["a2"]
    add("c1", "c2")
    assert ids(inflight.return_ready()) == ["c1", "c2"]
    assert slots.room(QUEUE) == SLOTS - 1
    inflight.check()


def test_a_run_that_was_given_up_ends_once(
    inflight: Inflight, add: Callable[..., list[Job]]
) -> None:
    (job,) = add("a1")
    assert inflight.start() is job
    assert inflight.give_up(job, Retry(1.0, ValueError()), 0.0)
    assert not inflight.end(job, Done(), 0.0), "its thread comes too late"
    assert isinstance(job.outcome, Retry)
    inflight.check()


def test_what_goes_back_while_its_claims_are_asked_does_not_start(
    inflight: Inflight, add: Callable[..., list[Job]], taskflow_broker: Broker
) -> None:
    """A pool whose grace is over gives everything back, though its leader is in a broker's call."""
    publish(TOPIC, "a1", id="a1", group="a")
    (delivery,) = taskflow_broker.receive(QUEUE)
    job = Job(delivery, None, None)  # type: ignore[arg-type]
    inflight.receive([job])
    inflight.check()
    assert inflight.return_all() == [job]
    inflight.place([job])
    assert inflight.start() is None
    inflight.check()


def test_who_runs_something_short_soon_comes_for_the_next(
    inflight: Inflight, add: Callable[..., list[Job]], taskflow_clock: ManualClock
) -> None:
    def begin(name: str) -> Job:
        add(name)
        job = inflight.start()
        assert job is not None
        return job

    assert not inflight.is_busy()
    first = begin("a1")
    assert not inflight.is_busy()  # nobody knows how long it takes
    for job in (first, begin("b1"), begin("c1")):
        inflight.end(job, Done(), taskflow_clock.now())
    assert not inflight.is_busy()
    begin("d1")
    assert inflight.is_busy()
    taskflow_clock.advance(2 * SOON)
    assert not inflight.is_busy()  # it is a slow one after all


def test_of_a_coroutine_a_thread_only_waits(
    worker: Worker, inflight: Inflight, add: Callable[..., list[Job]], taskflow_clock: ManualClock
) -> None:
    for job in (*add("a1"), *add("b1"), *add("c1"), *add("d1")):
        assert inflight.start() is job
        if job.delivery.group != "d":
            inflight.end(job, Done(), taskflow_clock.now())
    assert inflight.is_busy()

    async def handler(payload: object) -> None: ...

    worker.registry.subscribe("other", queue="others")(handler)
    (job,) = inflight.running
    job.entry = worker.registry.find("others", "other")
    assert not inflight.is_busy()


def test_what_has_ended_keeps_nothing_of_its_run(
    inflight: Inflight, add: Callable[..., list[Job]], taskflow_clock: ManualClock
) -> None:
    """A batch that waits to be settled would else be a third more for the garbage collector."""
    for job in (*add("a1"), *add("b1")):
        assert inflight.start() is job
        job.running = Running(1.0, LoopThread(taskflow_clock), job.started)
    ended, given_up = inflight.running
    run = given_up.running
    inflight.end(ended, Done(), taskflow_clock.now())
    inflight.give_up(given_up, Done(), taskflow_clock.now())
    assert [ended.running, given_up.running] == [None, None]
    assert run is not None
    assert run.abandoned


def test_what_the_next_of_a_group_took_is_not_given_twice(
    taskflow_broker: Broker, taskflow_registry: Registry
) -> None:
    """A leader asks for one, for there is a slot; before it comes, a1 ends and a2 begins."""
    on = taskflow_registry.subscribe
    on("any.fifo", queue=QUEUE)(lambda payload: None)

    @on("limited.fifo", queue=QUEUE, concurrency=1)
    def limited(payload: str) -> None: ...

    slots = Slots(taskflow_registry, {SYNC: SLOTS})
    hands = Hands(Worker(taskflow_broker, registry=taskflow_registry), slots)

    def add(*names: str) -> None:
        for name in names:
            topic = "any.fifo" if name in ("a1", "b2") else "limited.fifo"
            publish(topic, name, id=name, group=name[0], broker=taskflow_broker)
        hands.take(len(names))

    add("a1", "a2")
    first = hands.inflight.start()
    assert first is not None
    assert slots.room(QUEUE) == 1
    assert hands.inflight.end(first, Done(), 0.0)
    add("b1", "b2", "c1")
    assert ids(list(hands.inflight.ready)) == ["a2"], "and b2 does not pass b1"
    hands.inflight.check()
    back = taskflow_broker.receive(QUEUE, limit=10)
    assert sorted((one.id, one.receive_count) for one in back) == [("b1", 1), ("b2", 1), ("c1", 1)]
    assert slots.room(QUEUE) == 0


def test_the_limit_of_what_came_later_keeps_its_queue_back(
    taskflow_broker: Broker, taskflow_registry: Registry
) -> None:
    """It is not received, and given back, again and again while one runs."""
    on = taskflow_registry.subscribe
    on("early", queue="work")(lambda payload: None)
    slots = Slots(taskflow_registry, {SYNC: SLOTS})
    worker = Worker(taskflow_broker, registry=taskflow_registry)
    hands = Hands(worker, slots)

    @on("late", queue="work", concurrency=1)  # as a handler may import it
    def late(payload: str) -> None: ...

    worker.declare()
    for name in "abc":
        publish("late", name, id=name, broker=taskflow_broker)
    hands.take()
    assert ids(list(hands.inflight.ready)) == ["a"]
    assert slots.room("work") == 0
    hands.run()
    assert slots.room("work") == 1
