"""FIFO queues: a worker keeps the order of each group, whatever becomes of a message."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from taskflow import Event, Pool, Registry, Reject, Retry, Worker, publish
from taskflow.broker import Broker
from taskflow.errors import BrokerUnavailable
from taskflow.message import Delivery
from taskflow.retry import Dead, Done
from taskflow.testing import ManualClock, drain
from tests.taskflow.making import FIXED
from tests.taskflow.worker.hands import take
from tests.taskflow.worker.pools import WAIT, Watch, running

TOPIC, QUEUE = "made.fifo", "work.fifo"


class Recorder:
    """A handler that fails, waits or raises as told, and knows who ran when. Payloads like `a1`:
    the letter is the group."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.runs: list[str] = []
        self.inside: set[str] = set()
        self.together: list[set[str]] = []
        self.fails: dict[str, list[BaseException]] = {}
        self.waits: dict[str, threading.Event] = {}
        self.started: dict[str, threading.Event] = {}

    def fail(self, name: str, *errors: BaseException) -> None:
        self.fails[name] = list(errors)

    def hold(self, name: str) -> tuple[threading.Event, threading.Event]:
        """Let it wait inside; answers (it has started, let it go)."""
        self.started[name], self.waits[name] = threading.Event(), threading.Event()
        return self.started[name], self.waits[name]

    def __call__(self, name: str) -> None:
        with self.lock:
            self.runs.append(name)
            self.inside.add(name)
            self.together.append(set(self.inside))
            if name in self.started:
                self.started[name].set()
        try:
            if name in self.waits:
                assert self.waits[name].wait(WAIT)
            if self.fails.get(name):
                raise self.fails[name].pop(0)
        finally:
            with self.lock:
                self.inside.discard(name)

    def of(self, group: str) -> list[str]:
        return [name for name in self.runs if name[0] == group]

    def never_two_of_a_group(self) -> bool:
        return all(len({name[0] for name in some}) == len(some) for some in self.together)


@pytest.fixture
def handler(taskflow_registry: Registry) -> Recorder:
    recorder = Recorder()
    taskflow_registry.subscribe(TOPIC, queue=QUEUE, policy=FIXED, timeout=None)(recorder)
    return recorder


@pytest.fixture
def worker(taskflow_broker: Broker, taskflow_registry: Registry, handler: Recorder) -> Worker:
    return Worker(taskflow_broker, registry=taskflow_registry)


def put(*names: str) -> None:
    for name in names:
        publish(TOPIC, name, id=name, group=name[0])


def held(broker: Broker) -> dict[str, int]:
    """How often each message of the queue was received."""
    return {found.id: found.receive_count for found in broker.peek(QUEUE)}


@pytest.fixture
def pool(
    taskflow_broker: Broker, taskflow_registry: Registry, worker: Worker, watch: Watch
) -> Iterator[Callable[[int], Pool]]:
    """Start a pool of that concurrency; it is stopped after the test."""
    contexts = []

    def start(concurrency: int = 4) -> Pool:
        context = running(taskflow_broker, taskflow_registry, watch, concurrency)
        contexts.append(context)
        return context.__enter__()

    yield start
    for context in contexts:
        context.__exit__(None, None, None)


# ---- without threads --------------------------------------------------------------------------
def test_a_step_runs_a_group_in_order(worker: Worker, handler: Recorder) -> None:
    put("a1", "b1", "a2", "a3", "b2")
    assert [result.outcome for result in worker.step(limit=10)] == [Done()] * 5
    assert (handler.of("a"), handler.of("b")) == (["a1", "a2", "a3"], ["b1", "b2"])


def test_a_step_gives_back_what_is_behind_a_retry(
    worker: Worker, handler: Recorder, taskflow_broker: Broker, taskflow_clock: ManualClock
) -> None:
    handler.fail("a1", ValueError())
    put("a1", "a2", "b1", "a3")
    worker.step(limit=10)
    assert (handler.of("a"), handler.of("b")) == (["a1"], ["b1"])
    assert held(taskflow_broker) == {"a1": 1, "a2": 0, "a3": 0}
    assert worker.step(limit=10) == []
    taskflow_clock.advance(1)
    for _ in range(2):
        worker.step(limit=10)
    assert handler.of("a") == ["a1", "a1", "a2", "a3"]


def test_a_step_goes_on_behind_a_dead_letter(worker: Worker, handler: Recorder) -> None:
    handler.fail("a1", Reject("no"))
    put("a1", "a2")
    one, two = worker.step(limit=10)
    assert isinstance(one.outcome, Dead)
    assert two.outcome == Done()


def test_a_step_does_not_start_what_lost_its_lease(
    worker: Worker,
    handler: Recorder,
    taskflow_broker: Broker,
    taskflow_clock: ManualClock,
    taskflow_registry: Registry,
) -> None:
    stolen: list[Delivery] = []

    def slow(name: str) -> None:
        taskflow_clock.advance(31)
        stolen.extend(taskflow_broker.receive("slow.fifo", limit=10))

    taskflow_registry.subscribe("slow.fifo", queue="slow.fifo")(slow)
    slowly = Worker(taskflow_broker, ["slow.fifo"], registry=taskflow_registry)
    for name in ("a1", "a2"):
        publish("slow.fifo", name, id=name, group="a")
    (result,) = slowly.step(limit=10)
    assert result.delivery.id == "a1"
    assert [found.id for found in stolen] == ["a1", "a2"], "they are somebody else's"


@pytest.mark.parametrize("error", [ValueError(), Retry(after=7), Reject("no")])
def test_drain_keeps_the_order_of_a_group_across_failures(
    worker: Worker,
    handler: Recorder,
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    error: Exception,
) -> None:
    handler.fail("a1", error)
    handler.fail("a2", ValueError(), ValueError())
    put("a1", "a2", "b1", "a3")
    drain(taskflow_broker, taskflow_registry, raise_errors=False, advance=True)
    tries = 1 if isinstance(error, Reject) else 2
    assert handler.of("a") == ["a1"] * tries + ["a2", "a2", "a2", "a3"]
    assert handler.of("b") == ["b1"]


def test_a_message_that_kills_its_worker_does_not_bury_those_behind_it(
    worker: Worker, handler: Recorder, taskflow_broker: Broker, taskflow_clock: ManualClock
) -> None:
    put("a1", "a2", "a3")
    for _ in range(4):  # workers take what there is, and die at a1; the first had all three
        take(worker, 10)
        taskflow_clock.advance(30)
    worker.drain()
    assert handler.runs == ["a2", "a3"]
    assert [letter.id for letter in taskflow_broker.peek("work-dlq.fifo")] == ["a1"]


def test_with_one_attempt_a_killer_takes_nobody_with_it(
    taskflow_broker: Broker, taskflow_registry: Registry, taskflow_clock: ManualClock
) -> None:
    seen: list[str] = []
    taskflow_registry.subscribe(TOPIC, queue=QUEUE, retries=0)(lambda name: seen.append(name))
    worker = Worker(taskflow_broker, registry=taskflow_registry)
    put("a1", "a2", "a3")
    for _ in range(2):  # received with others first, then alone
        assert [job.delivery.id for job in take(worker, 10)] == ["a1"]
        taskflow_clock.advance(30)
    worker.drain()
    assert seen == ["a2", "a3"]


def test_a_redriven_group_keeps_its_order(
    worker: Worker, handler: Recorder, taskflow_broker: Broker
) -> None:
    for name in ("a1", "a2", "a3"):
        handler.fail(name, Reject("not now"))
    put("a1", "a2", "b1", "a3")
    worker.drain()
    assert taskflow_broker.redrive("work-dlq.fifo", ids=["a3", "a2", "a1"]) == 3
    worker.drain()
    assert handler.of("a") == ["a1", "a2", "a3"] * 2


# ---- in a pool --------------------------------------------------------------------------------
@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_pool_runs_one_of_a_group_at_a_time_and_in_order(
    pool: Callable[[int], Pool],
    handler: Recorder,
    taskflow_broker: Broker,
    taskflow_clock: ManualClock,
    watch: Watch,
    concurrency: int,
) -> None:
    put(*[f"{group}{number:02}" for number in range(30) for group in "abc"])
    done = watch.done(90)
    pool(concurrency)
    watch.until(done, step=0.01)
    for group in "abc":
        assert handler.of(group) == [f"{group}{number:02}" for number in range(30)]
    assert handler.never_two_of_a_group()


def test_a_slow_group_takes_one_slot_and_the_others_run(
    pool: Callable[[int], Pool],
    handler: Recorder,
    taskflow_broker: Broker,
    taskflow_clock: ManualClock,
    watch: Watch,
) -> None:
    started, go_on = handler.hold("a1")
    put("a1", "a2", "a3", "a4", "a5", "b1", "c1")
    two, seven = (watch.done(count) for count in (2, 7))
    pool(2)
    assert started.wait(WAIT)
    watch.until(two, step=0.01)
    assert sorted(handler.runs) == ["a1", "b1", "c1"]
    go_on.set()
    watch.until(seven, step=0.01)
    assert handler.of("a") == ["a1", "a2", "a3", "a4", "a5"]


@pytest.mark.slow
def test_what_waits_keeps_its_lease(
    pool: Callable[[int], Pool],
    handler: Recorder,
    taskflow_broker: Broker,
    taskflow_clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    watch: Watch,
) -> None:
    started, go_on = handler.hold("a1")
    put("a1", "a2")
    pool(2)
    assert started.wait(WAIT)
    for _ in range(4):  # beyond the visibility timeout of 30 s
        watch.until(watch.after("extended", 2))
    assert held(taskflow_broker) == {"a1": 1, "a2": 1}
    done = watch.done(2)
    go_on.set()
    watch.until(done, step=0.01)
    assert handler.runs == ["a1", "a2"]


@pytest.mark.parametrize("error", [ValueError(), Retry(after=0), Reject("no")])
def test_what_waits_behind_a_failure_is_given_back_after_that_is_settled(
    pool: Callable[[int], Pool],
    handler: Recorder,
    taskflow_broker: Broker,
    taskflow_clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    watch: Watch,
) -> None:
    handler.fail("a1", error)
    verbs: list[str] = []
    for verb in ("change_visibility", "dead_letter", "give_back"):
        call = getattr(taskflow_broker, verb)

        def noted(entries: Any, verb: str = verb, call: Callable[..., Any] = call) -> list[bool]:
            verbs.append(verb)
            answers: list[bool] = call(entries)
            return answers

        monkeypatch.setattr(taskflow_broker, verb, noted)
    put("a1", "a2", "a3")
    done = watch.done(3)
    pool(2)
    watch.until(done, step=0.1)
    tries = 1 if isinstance(error, Reject) else 2
    assert handler.runs == ["a1"] * tries + ["a2", "a3"]
    assert verbs[:2] == ["dead_letter" if tries == 1 else "change_visibility", "give_back"]
    assert taskflow_broker.counts(QUEUE).handled == 4 - (2 if tries == 1 else 1)


def test_giving_back_waits_for_a_broker_that_cannot_settle(
    pool: Callable[[int], Pool],
    handler: Recorder,
    taskflow_broker: Broker,
    taskflow_clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    watch: Watch,
) -> None:
    handler.fail("a1", ValueError())
    change, give_back, failures = taskflow_broker.change_visibility, taskflow_broker.give_back, [3]
    given_back_after: list[int] = []

    def flaky(entries: Any) -> list[bool]:
        if failures[0]:
            failures[0] -= 1
            raise BrokerUnavailable("locked")
        return change(entries)

    def noted(deliveries: Any) -> list[bool]:
        given_back_after.append(failures[0])
        return give_back(deliveries)

    monkeypatch.setattr(taskflow_broker, "change_visibility", flaky)
    monkeypatch.setattr(taskflow_broker, "give_back", noted)
    put("a1", "a2")
    done = watch.done(2)
    pool(2)
    watch.until(done, step=0.1)
    assert handler.runs == ["a1", "a1", "a2"]
    assert given_back_after[0] == 0


def test_what_waits_behind_a_lost_lease_is_given_back(
    pool: Callable[[int], Pool],
    handler: Recorder,
    taskflow_broker: Broker,
    taskflow_clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    watch: Watch,
) -> None:
    started, go_on = handler.hold("a1")
    put("a1", "a2")
    pool(2)
    assert started.wait(WAIT)
    (one, _) = taskflow_broker.peek(QUEUE)
    taskflow_broker.purge(QUEUE, ids=[one.id])  # so that it cannot be extended
    watch.until(watch.after("given back"))
    assert watch.given == ["a2"]
    go_on.set()


def test_a_stopped_pool_gives_a_group_back_as_it_was(
    handler: Recorder,
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    worker: Worker,
    watch: Watch,
) -> None:
    started, go_on = handler.hold("a1")
    put("a1", "a2", "a3")
    with running(taskflow_broker, taskflow_registry, watch, concurrency=4) as pool:
        assert started.wait(WAIT)
        pool.stop_now()
    go_on.set()
    assert held(taskflow_broker) == {"a1": 0, "a2": 0, "a3": 0}
    assert [found.id for found in taskflow_broker.receive(QUEUE, limit=10)] == ["a1", "a2", "a3"]


def test_a_graceful_stop_starts_no_more_of_a_group(
    handler: Recorder, taskflow_broker: Broker, taskflow_registry: Registry, worker: Worker
) -> None:
    started, go_on = handler.hold("a1")
    put("a1", "a2", "a3")
    pool = Pool(worker, concurrency=4)
    thread = threading.Thread(target=pool.run)
    thread.start()
    assert started.wait(WAIT)
    pool.stop()
    go_on.set()
    thread.join(WAIT)
    assert handler.runs == ["a1"]
    assert held(taskflow_broker) == {"a2": 0, "a3": 0}
    counts = taskflow_broker.counts(QUEUE)
    assert (counts.handled, counts.visible) == (1, 2)


@pytest.mark.parametrize("error", [None, Reject("no"), Retry(after=0)])
def test_a_burst_ends_when_the_groups_are_through(
    handler: Recorder, taskflow_broker: Broker, worker: Worker, error: Exception | None
) -> None:
    if error is not None:
        handler.fail("a1", error)
    put("a1", "a2", "a3", "b1")
    pool = Pool(worker, concurrency=2, burst=True)
    thread = threading.Thread(target=pool.run)
    thread.start()
    thread.join(WAIT)
    assert not thread.is_alive()
    assert handler.of("a")[-2:] == ["a2", "a3"]
    assert held(taskflow_broker) == {}


def test_coroutines_of_a_group_do_not_overlap(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    taskflow_clock: ManualClock,
    watch: Watch,
) -> None:
    inside: list[str] = []
    seen: list[str] = []

    @taskflow_registry.subscribe(TOPIC, queue=QUEUE)
    async def handle(event: Event[str]) -> None:
        assert event.group not in inside
        assert event.group is not None
        inside.append(event.group)
        seen.append(event.payload)
        inside.remove(event.group)

    worker = Worker(taskflow_broker, registry=taskflow_registry)
    assert worker.queues == (QUEUE,)
    put("a1", "a2", "b1", "a3", "b2")
    done = watch.done(5)
    with running(taskflow_broker, taskflow_registry, watch):
        watch.until(done, step=0.01)
    assert [name for name in seen if name[0] == "a"] == ["a1", "a2", "a3"]


def test_a_group_may_not_take_a_slot_that_a_limit_denies(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    taskflow_clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    watch: Watch,
) -> None:
    """a2 and b2 wait behind other handlers; when those end, only one of them may run."""
    lock = threading.Lock()
    inside, most = [0], [0]
    firsts = threading.Barrier(2)
    go_on, in_limited = threading.Event(), threading.Event()

    @taskflow_registry.subscribe("first.fifo", queue=QUEUE, timeout=None)
    def first(name: str) -> None:
        firsts.wait(WAIT)

    @taskflow_registry.subscribe("second.fifo", queue=QUEUE, timeout=None, concurrency=1)
    def second(name: str) -> None:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        in_limited.set()
        assert go_on.wait(WAIT)
        with lock:
            inside[0] -= 1

    worker = Worker(taskflow_broker, registry=taskflow_registry, observers=[watch])
    for group in "ab":
        publish("first.fifo", f"{group}1", group=group)
        publish("second.fifo", f"{group}2", group=group)
    receive = taskflow_broker.receive

    def receive_ten(*queues: str, limit: int, **more: Any) -> list[Delivery]:
        return receive(*queues, limit=10, **more)

    monkeypatch.setattr(taskflow_broker, "receive", receive_ten)
    done = watch.done(4)
    pool = watch.pool = Pool(worker, concurrency=4)
    thread = threading.Thread(target=pool.run)
    thread.start()
    assert in_limited.wait(WAIT)
    go_on.set()
    watch.until(done, step=0.01)
    pool.stop_now()
    thread.join(WAIT)
    assert most[0] == 1
