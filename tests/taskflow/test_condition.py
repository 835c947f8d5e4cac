"""A wait that is interrupted wherever a time limit may come: nothing is left behind."""

import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from pathlib import Path
from types import FrameType

import pytest

from taskflow.brokers.stored.ring_condition import RingCondition
from taskflow.brokers.stored.waiters import Waiters
from taskflow.clock import SystemClock
from taskflow.condition import Condition
from taskflow.stores.sqlite.store import SqliteStore
from taskflow.uninterrupted import stands_inside

MANY = 10_000
WAIT = 30.0


class Interrupt(BaseException):
    """As a time limit sends it."""


def interrupted(number: int, work: Callable[[], object]) -> bool:
    """Do `work`, and interrupt it at the number-th place where Python looks for that: where a
    function begins, and after the call of one that is C. False when it had fewer."""
    left = number

    def look(frame: FrameType, event: str, argument: object) -> None:
        nonlocal left
        module = str(frame.f_globals.get("__name__")).partition(".")[0]
        if event in ("call", "c_return") and module in ("taskflow", "threading"):
            if stands_inside(frame):
                return
            left -= 1
            if left < 0:
                raise Interrupt

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        work()
    except Interrupt:
        return True
    finally:
        sys.setprofile(before)
    return False


def times(
    work: Callable[[], object],
    check: Callable[[], object],
    prepare: Callable[[], object] = lambda: None,
) -> int:
    """At how many places it was interrupted, one after the other."""
    for number in range(MANY):
        prepare()
        if not interrupted(number, work):
            return number
        check()
    raise AssertionError("it never ends")


def held_by_others(condition: threading.Condition) -> bool:
    """Whether another thread cannot get the lock."""
    got: list[bool] = []

    def ask() -> None:
        got.append(condition.acquire(blocking=False))
        if got[0]:
            condition.release()

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(WAIT)
    return not got[0]


@pytest.mark.parametrize("timeout", [0, 0.0001])
def test_a_wait_leaves_the_lock_as_it_was(timeout: float) -> None:
    condition = Condition()

    def work() -> None:
        with condition:
            condition.wait(timeout)

    def check() -> None:
        assert not held_by_others(condition)
        assert not condition._parked

    assert times(work, check) > 0


def test_who_is_notified_is_woken_and_nobody_else() -> None:
    condition, woken = Condition(), []
    ready = threading.Semaphore(0)

    def wait(name: int) -> None:
        with condition:
            ready.release()
            assert condition.wait(WAIT)
            woken.append(name)

    threads = [threading.Thread(target=wait, args=(name,)) for name in range(3)]
    for thread in threads:
        thread.start()
        assert ready.acquire(timeout=WAIT)
    with condition:
        condition.notify()
    threads[0].join(WAIT)
    assert woken == [0]
    with condition:
        assert len(condition._parked) == 2
        condition.notify_all()
        condition.notify(5)  # there is nobody
    for thread in threads:
        thread.join(WAIT)
    assert sorted(woken) == [0, 1, 2]
    with condition:
        assert not condition.wait(0)
        assert condition.wait_for(lambda: True, 0)


class Here:
    """A store that hears what another one rings, and what was heard."""

    def __init__(self, path: Path) -> None:
        self.store, self.other = (SqliteStore(path, durable=False) for _ in range(2))
        self.heard: set[str] = set()
        self.store.listen()

    def hear(self, names: Collection[str]) -> None:
        self.heard.update(names)

    def ring(self) -> None:
        """Another process rings."""
        self.heard.clear()
        self.other.ring(["work"])


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    made = Here(tmp_path / "broker.db")
    with closing(made.store), closing(made.other):
        yield made


@pytest.mark.parametrize("rung", [True, False])
def test_no_ring_is_lost_when_its_hearer_is_interrupted(here: Here, rung: bool) -> None:
    """Between giving the lock up and the `try` that takes it again, too: there it stayed as if that
    one heard for the others, and nobody did."""
    condition = RingCondition(here.store, here.hear, threading.RLock())

    def work() -> None:
        with condition:
            condition.wait(WAIT if rung else 0)

    def check() -> None:
        assert not held_by_others(condition)
        assert not condition._in_store
        if not rung:
            here.ring()
        if not here.heard:  # then the next one hears it
            with condition:
                assert condition.wait(WAIT)
        assert here.heard == {"work"}

    places = times(work, check, here.ring if rung else here.heard.clear)
    assert (places == 0) == rung  # what has come is read without a wait, and without an interrupt


def test_nor_is_a_receiver_left_behind_that_is_parked(here: Here) -> None:
    clock = SystemClock()
    waiters = Waiters(here.store, clock, clock.now)
    waiters.watch(here.hear)  # with a thread that hears for nobody
    waiters.close()

    def work() -> None:
        rung = waiters.rung(["work"])
        waiters.park(["work"], rung, clock.now() + WAIT, None)

    def check() -> None:
        assert not held_by_others(waiters._parked)
        assert (waiters._waiting, waiters._parked._in_store) == (0, False)

    assert times(work, check, here.ring) > 0
