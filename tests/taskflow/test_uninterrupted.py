"""Where a thread is: in a store's own step, in a user's function that it called, or elsewhere."""

import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from taskflow import Broker
from taskflow.broker.own_sql import OwnSql
from taskflow.brokers import open_address
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.brokers.stored.waiters import Waiters
from taskflow.message import Message
from taskflow.testing import ManualClock
from taskflow.uninterrupted import is_inside, uninterrupted

WAIT = 30.0
LOOKS = 1_000_000


class Stop:
    """Where a thread stops until it is let go."""

    def __init__(self) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()

    def here(self) -> None:
        """Stop. In a function of a test, as a user's would be."""
        self.reached.set()
        assert self.go_on.wait(WAIT)


@uninterrupted
def step(first: Callable[[], object], then: Callable[[], object]) -> None:
    first()
    then()


@contextmanager
def stopped(stop: Stop, work: Callable[[], object]) -> Iterator[int]:
    """A thread that works, and has come to its stop."""
    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert stop.reached.wait(WAIT)
        assert thread.ident is not None
        yield thread.ident
    finally:
        stop.go_on.set()
        thread.join(WAIT)
        assert not thread.is_alive()


def test_a_thread_is_inside_a_step_and_what_that_calls_of_ours() -> None:
    stop = Stop()

    def work() -> None:
        step(int, int)
        stop.here()

    with stopped(stop, work) as thread:
        assert not is_inside(thread)  # it has left
    stop = Stop()
    with stopped(stop, lambda: step(stop.reached.set, stop.go_on.wait)) as thread:
        assert is_inside(thread)
    assert not is_inside(thread)  # it has ended


def test_a_function_of_others_that_a_step_calls_is_outside() -> None:
    stop = Stop()
    with stopped(stop, lambda: step(stop.here, lambda: None)) as thread:
        assert not is_inside(thread)


def test_a_step_that_such_a_function_takes_is_inside_again() -> None:
    stop = Stop()

    def users() -> None:
        step(stop.reached.set, stop.go_on.wait)

    with stopped(stop, lambda: step(users, lambda: None)) as thread:
        assert is_inside(thread)


def test_it_costs_no_call() -> None:
    def plain() -> None: ...

    assert uninterrupted(plain) is plain


@pytest.fixture
def in_file(tmp_path: Path) -> Iterator[StoredBroker]:
    broker = cast(StoredBroker, open_address(f"sqlite:///{tmp_path}/broker.db"))
    broker.create_queue("work")
    yield broker
    broker.close()


def until(is_so: Callable[[], bool]) -> bool:
    """Whether it becomes so; other threads get their turn between two looks."""
    for _ in range(LOOKS):
        if is_so():
            return True
        select.select([], [], [], 0)
    return False


def test_who_waits_for_the_file_is_inside_and_sql_of_a_user_is_not(in_file: StoredBroker) -> None:
    stop = Stop()
    within = cast(OwnSql, in_file).within
    with stopped(stop, lambda: within(lambda sql: stop.here())) as holder:
        assert not is_inside(holder)
        other = threading.Thread(target=in_file.send, args=("work", [Message(id="1", body="1")]))
        other.start()
        assert other.ident is not None
        thread = other.ident
        assert until(lambda: is_inside(thread))
    other.join(WAIT)
    assert not is_inside(thread)
    assert in_file.counts("work").visible == 1


def test_who_waits_for_a_message_is_outside(
    taskflow_broker: Broker, taskflow_clock: ManualClock
) -> None:
    taskflow_broker.create_queue("work")
    thread = threading.Thread(target=taskflow_broker.receive, args=("work",), kwargs={"wait": 20})
    thread.start()
    taskflow_clock.wait_until_parked()
    assert thread.ident is not None
    assert not is_inside(thread.ident)
    taskflow_clock.advance(21)
    thread.join(WAIT)
    assert not thread.is_alive()


def test_who_hears_the_bell_of_a_file_is_outside(in_file: StoredBroker) -> None:
    bell = cast(Waiters, in_file.core.waiters)._parked
    thread = threading.Thread(target=in_file.receive, args=("work",), kwargs={"wait": 20})
    thread.start()
    assert until(lambda: bell._in_store)
    assert thread.ident is not None
    assert not is_inside(thread.ident)
    in_file.send("work", [Message(id="1", body="1")])
    thread.join(WAIT)
    assert not thread.is_alive()
