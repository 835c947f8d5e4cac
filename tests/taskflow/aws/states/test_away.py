"""The place of the state is away: nothing is acknowledged without its result."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from taskflow import Registry, Reject, Worker, task
from taskflow.broker.change import Change, Put, Send
from taskflow.broker.record import RecordQuery
from taskflow.brokers.aws.broker import AwsBroker
from taskflow.brokers.aws.remote_state import RemoteState
from taskflow.coordination.record_store import Kept, Names, RecordStore, Things
from taskflow.errors import BrokerUnavailable
from taskflow.message import Message
from taskflow.publisher import using
from tests.contract.wire import SharedClock


class Flaky:
    """A place that is away when it is told to be, or from its next change on, which it makes
    without an answer."""

    def __init__(self, store: RecordStore) -> None:
        self._store = store
        self.away = False
        self.loses_answers = False

    def _check(self) -> None:
        if self.away:
            raise BrokerUnavailable("the place is away")

    def read(self, names: Names) -> Things:
        self._check()
        return self._store.read(names)

    def change(self, names: Names, decide: Callable[[Things], Things]) -> None:
        self._check()
        self._store.change(names, decide)
        if self.loses_answers:
            self.away = True
            self._check()

    def select(
        self, query: RecordQuery, after: tuple[float, int] | None, now: float
    ) -> Sequence[Kept]:
        self._check()
        return self._store.select(query, after, now)

    def count_by_state(self, kind: str, label: str | None, now: float) -> dict[str, int]:
        self._check()
        return self._store.count_by_state(kind, label, now)

    def expire(self, now: float, limit: int) -> int:
        self._check()
        return self._store.expire(now, limit)

    def close(self) -> None:
        self._store.close()


@pytest.fixture
def flaky(broker: AwsBroker) -> Flaky:
    state = broker._state
    assert isinstance(state, RemoteState), "the state lies where hosts share it"
    state._store = Flaky(state._store)
    return state._store


class Shop:
    """A task whose result is kept, and a worker for it."""

    def __init__(self, broker: AwsBroker, flaky: Flaky) -> None:
        self.runs = 0
        self.meanwhile: Callable[[], None] = lambda: None
        registry = Registry()

        @task(registry=registry, name="add", queue="sums", result="1h")
        def add(x: int, y: int) -> int:
            self.runs += 1
            self.meanwhile()
            return x + y

        @task(registry=registry, name="tell", queue="sums")
        def tell(what: dict[str, str]) -> None:
            self.told.append(what["message"])

        @task(registry=registry, name="fail", queue="sums", result="1h", on_failure=tell)
        def fail() -> None:
            self.runs += 1
            self.meanwhile()
            raise Reject("no")

        self.told: list[str] = []
        self.add, self.fail = add, fail
        self.broker = broker
        self._registry = registry
        Worker(broker, registry=registry)  # declares the queue

    def drain(self) -> None:
        """Send what was left, and run what is visible, in a worker of its own: the one before is
        no more."""
        self.broker.upkeep()
        Worker(self.broker, registry=self._registry).drain()


@pytest.fixture
def shop(broker: AwsBroker, flaky: Flaky) -> Iterator[Shop]:
    with using(broker):
        yield Shop(broker, flaky)


def leave(flaky: Flaky, **how: bool) -> Callable[[], None]:
    def leave_now() -> None:
        for name, value in how.items():
            setattr(flaky, name, value)

    return leave_now


@pytest.mark.parametrize(("how", "runs"), [({"away": True}, 2), ({"loses_answers": True}, 1)])
@pytest.mark.slow
def test_nothing_is_acknowledged_without_its_result(
    shop: Shop, flaky: Flaky, clock: SharedClock, how: dict[str, bool], runs: int
) -> None:
    """A result whose answer was lost is there, and its task is not run again."""
    shop.meanwhile = leave(flaky, **how)
    result = shop.add.delay(1, 2)
    with pytest.raises(BrokerUnavailable, match="the place is away"):
        shop.drain()
    counts = shop.broker.counts("sums")
    assert (shop.runs, counts.visible + counts.in_flight) == (1, 1), "the message is not gone"
    shop.meanwhile = leave(flaky)
    flaky.away = flaky.loses_answers = False
    clock.advance(300)
    shop.drain()
    assert shop.runs == runs
    assert result.get(0) == 3
    counts = shop.broker.counts("sums")
    assert (counts.visible, counts.in_flight) == (0, 0)


@pytest.mark.slow
def test_a_failure_whose_answer_was_lost_is_one_failure(
    shop: Shop, flaky: Flaky, clock: SharedClock
) -> None:
    """Nor is it taken for one that was redriven when its message comes back; that one is."""
    shop.meanwhile = leave(flaky, loses_answers=True)
    result = shop.fail.delay()
    with pytest.raises(BrokerUnavailable, match="the place is away"):
        shop.drain()
    shop.meanwhile = leave(flaky)
    leave(flaky, loses_answers=False, away=False)()
    for _ in range(3):
        clock.advance(60)
        shop.drain()
    assert (shop.runs, shop.told, result.state) == (1, ["no"], "failed")
    assert shop.broker.redrive("sums-dlq") == 1
    shop.drain()
    assert (shop.runs, result.state) == (2, "failed")


def test_no_call_is_half_stored_while_the_place_is_away(
    shop: Shop, flaky: Flaky, clock: SharedClock
) -> None:
    flaky.away = True
    with pytest.raises(BrokerUnavailable, match="the place is away"):
        shop.add.delay(1, 2)
    flaky.away = False
    shop.drain()
    assert (shop.runs, shop.broker.count_records("run")) == (0, {})
    result = shop.add.delay(1, 2)
    shop.drain()
    assert result.get(0) == 3


def test_what_was_noted_is_sent_when_the_place_is_back(
    broker: AwsBroker, flaky: Flaky, clock: SharedClock
) -> None:
    """The answer is lost, so nothing is sent: it was noted all the same."""
    broker.create_queue("work")
    flaky.loses_answers = True
    put = Put(kind="run", key="1", value="a")
    with pytest.raises(BrokerUnavailable):
        broker.apply([Change(records=[put], sends=[Send("work", [Message("m", "x")])])])
    flaky.away = flaky.loses_answers = False
    assert broker.records("run", ["1"])["1"].value == "a"
    assert broker.receive("work") == []
    clock.advance(30)
    broker.upkeep()
    assert [one.id for one in broker.receive("work")] == ["m"]


def test_upkeep_says_that_the_place_is_away(broker: AwsBroker, flaky: Flaky) -> None:
    flaky.away = True
    with pytest.raises(BrokerUnavailable, match="the place is away"):
        broker.upkeep()


def test_a_result_is_seen_by_who_waits_elsewhere(
    shop: Shop, broker: AwsBroker, clock: SharedClock, place: Any
) -> None:
    """Another host's state: it polls, and sees the run that ended here."""
    other = RemoteState(place.open(clock), clock, broker.random)
    result = shop.add.delay(2, 3)
    waiting = other.records("run", [result.id])[result.id]
    shop.drain()
    found = other.wait_record("run", result.id, waiting.version, 0.0)
    assert found is not None
    assert (found.state, found.version != waiting.version) == ("done", True)
