"""PublishBatcher what threads send at once: nobody waits alone, everybody gets their own answer."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from taskflow.brokers.aws.publish_batcher import LINGER, PublishBatcher, _Line
from taskflow.errors import BrokerUnavailable
from taskflow.testing import ManualClock


@dataclass(frozen=True)
class Item:
    name: str
    size: int = 1


class Interrupt(BaseException):
    """As Ctrl-C."""


class Line:
    """A destination whose requests end when they are told to."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.begun = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.failing: dict[str, Exception] = {}
        self.broken: BaseException | None = None

    def send(self, _: str, items: Sequence[Item]) -> list[str | BaseException]:
        self.batches.append([item.name for item in items])
        self.begun.release()
        self.go.acquire()
        if self.broken is not None:
            raise self.broken
        return [self.failing.get(item.name, f"sent {item.name}") for item in items]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def line() -> Line:
    return Line()


Submit = Callable[..., list[Future[str]]]


@pytest.fixture
def submit(clock: ManualClock, line: Line) -> Iterator[Submit]:
    """Submit items from a thread each, in order; answers when each sends or waits."""
    gathering: PublishBatcher[Item, str] = PublishBatcher(clock, 100, line.send)
    waiting = 0
    begun: list[Future[str]] = []
    with ThreadPoolExecutor(40) as pool:

        def submit(*items: Item, to: str = "t", sends: int = 0) -> list[Future[str]]:
            nonlocal waiting
            futures = []
            for index, item in enumerate(items):
                futures.append(pool.submit(gathering.submit, to, item))
                if index < sends:
                    assert line.begun.acquire(timeout=10)
                else:
                    waiting += 1
                    clock.wait_until_parked(waiting)
            begun.extend(futures)
            return futures

        yield submit
        line.go.release(100)
        while not all(one.done() for one in begun):
            clock.advance(LINGER)


def test_a_lone_item_goes_at_once(line: Line, submit: Submit) -> None:
    (alone,) = submit(Item("a"), sends=1)
    line.go.release()
    assert alone.result(10) == "sent a"
    assert line.batches == [["a"]]


def test_who_comes_while_one_is_sent_goes_together(
    clock: ManualClock, line: Line, submit: Submit
) -> None:
    (first,) = submit(Item("a"), sends=1)
    others = submit(*[Item(name) for name in "bcd"])
    line.go.release()
    assert first.result(10) == "sent a"
    assert line.batches == [["a"]], "the first of them waits for more"
    while not line.begun.acquire(timeout=0.01):
        clock.advance(LINGER)
    line.go.release()
    assert [one.result(10) for one in others] == ["sent b", "sent c", "sent d"]
    assert line.batches == [["a"], ["b", "c", "d"]]


def test_ten_do_not_wait_for_the_one_before(line: Line, submit: Submit) -> None:
    submit(Item("first"), sends=1)
    names = [str(number) for number in range(9)]
    others = submit(*[Item(name) for name in names])
    last = submit(Item("9"), sends=1)
    assert line.batches == [["first"], [*names, "9"]]
    line.go.release(2)
    assert [one.result(10) for one in others + last] == [f"sent {name}" for name in [*names, "9"]]


def test_bytes_fill_a_batch_too(line: Line, submit: Submit) -> None:
    submit(Item("first"), sends=1)
    submit(Item("large", 60))
    submit(Item("larger", 60), sends=1)
    assert line.batches == [["first"], ["large"]]


def test_destinations_do_not_wait_for_each_other(line: Line, submit: Submit) -> None:
    submit(Item("a"), sends=1)
    submit(Item("b"), to="other", sends=1)
    assert line.batches == [["a"], ["b"]]


def test_each_caller_gets_what_became_of_its_own(
    clock: ManualClock, line: Line, submit: Submit
) -> None:
    line.failing["c"] = ValueError("c is refused")
    submit(Item("a"), sends=1)
    good, bad = submit(Item("b"), Item("c"))
    line.go.release()
    while not line.begun.acquire(timeout=0.01):
        clock.advance(LINGER)
    line.go.release()
    assert good.result(10) == "sent b"
    with pytest.raises(ValueError, match="c is refused"):
        bad.result(10)


def test_a_request_that_fails_fails_for_all_in_it_and_no_other(line: Line, submit: Submit) -> None:
    line.broken = OSError("cut")
    (one,) = submit(Item("a"), sends=1)
    line.go.release()
    with pytest.raises(OSError, match="cut"):
        one.result(10)
    line.broken = None
    (two,) = submit(Item("b"), sends=1)
    line.go.release()
    assert two.result(10) == "sent b"


def test_who_is_interrupted_while_it_sends_says_so_to_those_it_sent_for(
    clock: ManualClock, line: Line, submit: Submit
) -> None:
    """As by Ctrl-C. Nobody knows whether theirs is stored."""
    submit(Item("a"), sends=1)
    own, other = submit(Item("b"), Item("c"))
    line.go.release()
    while not line.begun.acquire(timeout=0.01):
        clock.advance(LINGER)
    line.broken = Interrupt()
    line.go.release()
    ends = {type(one.exception(10)) for one in (own, other)}
    assert ends == {Interrupt, BrokerUnavailable}


def test_nor_does_it_leave_anybody_waiting_for_it(clock: ManualClock, line: Line) -> None:
    gathering: PublishBatcher[Item, str] = PublishBatcher(clock, 100, line.send)
    line.go.release(2)
    line.broken = Interrupt()
    with pytest.raises(Interrupt):
        gathering.submit("t", Item("a"))
    line.broken = None
    assert gathering.submit("t", Item("b")) == "sent b"


def test_who_is_interrupted_while_it_waits_for_others_is_not_sent(clock: ManualClock) -> None:
    sent: list[str] = []

    def send(_: str, items: Sequence[Item]) -> list[str | BaseException]:
        sent.extend(item.name for item in items)
        return ["sent" for _ in items]

    class Stops(ManualClock):
        def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
            raise Interrupt

    gathering: PublishBatcher[Item, str] = PublishBatcher(Stops(), 100, send)
    line = gathering._lines["t"] = _Line(crowded=True)
    with pytest.raises(Interrupt):
        gathering.submit("t", Item("a"))
    line.crowded = False
    assert gathering.submit("t", Item("b")) == "sent"
    assert sent == ["b"]
