"""Each verb fails once at each step of a pool's life: no event is lost, run beyond the contract, or
robbed of an attempt."""

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from taskflow import Broker, Event, Pool, Registry, RetryPolicy, Worker, publish
from taskflow.errors import BrokerFileError, BrokerUnavailable
from taskflow.testing import ManualClock, memory_broker
from taskflow.testing.faults import FaultBroker
from tests.taskflow.worker.pools import WAIT

EVENTS = 4
VERBS = {  # the verb, and how many calls of it a life has
    "receive": 4,
    "claim": 2,
    "take": 4,
    "delete": 2,
    "change_visibility": 1,
    "dead_letter": 1,
    "give_back": 1,
    "extend": 1,
    "report": 1,
    "retire": 1,
    "hold": 1,
    "upkeep": 1,
}
LEASES_LEFT = {("receive", "after")}
"""Here the broker has lent what no answer tells of."""
POLICY = RetryPolicy(retries=1, backoff=1, factor=1, jitter=False)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def broker(clock: ManualClock) -> Iterator[Broker]:
    opened = memory_broker(clock=clock)
    yield opened
    opened.close()


class Life:
    """A pool over a broker with one fault: an event fails once, one is poison, the rest is well."""

    def __init__(self, broker: Broker, rate: str | None, fifo: bool = False) -> None:
        self.broker = broker
        self.topic, self.queue, self.letters = (
            ("made.fifo", "work.fifo", "work-dlq.fifo") if fifo else ("made", "work", "work-dlq")
        )
        self.faulty = FaultBroker(broker)
        self.runs: Counter[str] = Counter()
        self.attempts: list[tuple[str, int]] = []
        self.registry = Registry()
        self.registry.subscribe(self.topic, queue=self.queue, policy=POLICY, rate=rate)(self.handle)

    def handle(self, event: Event[str]) -> None:
        self.runs[event.id] += 1
        self.attempts.append((event.id, event.attempt))
        if event.payload == "poison" or (event.payload == "once" and event.attempt == 1):
            raise ValueError(event.payload)

    def live(self, clock: ManualClock, stop_early: bool) -> None:
        faulty: Any = self.faulty
        worker = Worker(faulty, registry=self.registry)
        for number, payload in enumerate(["poison", "once", "well", "well"]):
            group = None if self.topic == "made" else "ab"[number % 2]
            publish(self.topic, payload, id=f"e{number}", group=group, broker=self.broker)
        pool = Pool(worker, concurrency=2, grace=5)
        thread = threading.Thread(target=pool.run)
        thread.start()
        for turn in range(400):
            if stop_early and turn == 1:
                break
            if self.is_done():
                break
            clock.advance(0.5)
            thread.join(0.005)
        pool.stop()
        for _ in range(200):
            thread.join(0.01)
            if not thread.is_alive():
                break
            clock.advance(0.5)
        assert not thread.is_alive()

    def is_done(self) -> bool:
        counts = self.broker.counts(self.queue)
        return counts.visible + counts.in_flight + counts.delayed == 0

    def leases_held(self, clock: ManualClock) -> int:
        """What nobody works on, and nobody else may have yet; a retry's wait is none."""
        now = clock.now()
        found = self.broker.peek(self.queue, 10)
        return sum(one.visible_at > now + POLICY.backoff for one in found)

    def finish(self, clock: ManualClock) -> None:
        """Whoever comes after it does what is left."""
        worker = Worker(self.broker, registry=self.registry)
        for _ in range(40):
            worker.drain()
            if self.is_done():
                return
            clock.advance(10)

    def check(self) -> None:
        counts = self.broker.counts(self.queue)
        letters = self.broker.peek(self.letters)
        assert counts.visible + counts.in_flight + counts.delayed == 0, "something is left"
        assert {letter.id for letter in letters} == {"e0"}, "only the poison is dead"
        assert set(self.runs) == {"e0", "e1", "e2", "e3"}, "every event was run"
        assert max(number for _, number in self.attempts) <= 2


@pytest.mark.parametrize("fifo", [False, True], ids=["standard", "fifo"])
@pytest.mark.parametrize("stop_early", [False, True], ids=["to the end", "stopped"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("verb", "number"), [(v, n) for v in VERBS for n in range(1, VERBS[v] + 1)]
)
def test_a_verb_that_fails_once_harms_no_event(
    broker: Broker,
    clock: ManualClock,
    verb: str,
    number: int,
    when: Any,
    stop_early: bool,
    fifo: bool,
) -> None:
    life = Life(broker, "100/s" if verb == "take" else None, fifo)
    life.faulty.fail(verb, number, when, BrokerUnavailable("the network"))
    life.live(clock, stop_early)
    if (verb, when) not in LEASES_LEFT:
        assert life.leases_held(clock) == 0, "a lease is left to end by itself"
    life.finish(clock)
    life.check()


@pytest.mark.parametrize("error", [BrokerFileError("disk"), RuntimeError("odd"), MemoryError()])
@pytest.mark.parametrize("verb", ["receive", "claim", "delete", "dead_letter", "give_back", "take"])
def test_so_does_one_that_fails_in_an_odd_way(
    broker: Broker, clock: ManualClock, verb: str, error: Exception
) -> None:
    life = Life(broker, rate="100/s")
    life.faulty.fail(verb, 1, "before", error)
    life.live(clock, stop_early=False)
    life.finish(clock)
    life.check()


def test_an_event_is_not_robbed_of_its_attempt_while_rates_cannot_be_paid(
    broker: Broker, clock: ManualClock
) -> None:
    """With one attempt alone, an event whose handler never ran was dead-lettered."""
    registry, ran = Registry(), threading.Event()
    registry.subscribe("made", queue="work", retries=0, rate="10/s")(lambda payload: ran.set())
    faulty: Any = FaultBroker(broker)
    faulty.fail("take", 2)
    worker = Worker(faulty, registry=registry)
    publish("made", 1, broker=broker)
    pool = Pool(worker, concurrency=1)
    thread = threading.Thread(target=pool.run)
    thread.start()
    assert ran.wait(WAIT)
    pool.stop()
    thread.join(WAIT)
    assert broker.counts("work-dlq").visible == 0
    assert broker.counts("work").handled == 1


def test_a_fault_is_counted_and_over(broker: Broker) -> None:
    faulty = FaultBroker(broker)
    broker.create_queue("work")
    faulty.fail("counts", 2)
    faulty.counts("work")
    with pytest.raises(BrokerUnavailable):
        faulty.counts("work")
    faulty.counts("work")
    assert (faulty.calls["counts"], faulty.failed) == (3, ["counts"])
