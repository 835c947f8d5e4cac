"""A time limit that comes while a thread is inside a store's own step."""

import select
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from taskflow import Broker, Registry, publish
from taskflow.broker.change import Change, Put
from taskflow.brokers import open_address
from taskflow.clock import SystemClock
from taskflow.entry import Entry
from taskflow.errors import HandlerInterrupt, HandlerTimeout
from taskflow.event import Context
from taskflow.testing import ManualClock
from taskflow.uninterrupted import is_inside, uninterrupted
from taskflow.worker.timeouts import LoopThread, Running
from taskflow.workflows.group_commit import GroupCommit
from tests.taskflow.worker.pools import WAIT, Watch, running

INTERRUPTS = 60
TRIES = 20


@uninterrupted
def step(reached: threading.Event, go_on: threading.Event, did: list[str] | None = None) -> None:
    reached.set()
    assert go_on.wait(WAIT)
    if did is not None:
        did.append("the step")


def turn_until(free: threading.Event) -> None:
    """(In Python 3.13 the jump back of a loop is in no `try` of its own function.)"""
    while not free.is_set():
        pass


def begin(handler: Any) -> tuple[Running, threading.Thread, list[BaseException]]:
    """Run it in a thread, as a pool does; with what it raised."""
    begun, found, raised = threading.Event(), list[Running](), list[BaseException]()
    entry = SimpleNamespace(
        is_async=False, handler=handler, arguments=lambda _: SimpleNamespace(args=(), kwargs={})
    )

    def run() -> None:
        found.append(Running(1.0, LoopThread(SystemClock()), 0.0))
        begun.set()
        try:
            found[0].invoke(cast(Entry, entry), cast(Context, None))
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert begun.wait(WAIT)
    return found[0], thread, raised


def test_a_thread_ends_its_step_before_it_is_interrupted() -> None:
    reached, go_on, left = threading.Event(), threading.Event(), threading.Event()

    def handler() -> None:
        step(reached, go_on)
        left.set()
        while True:
            pass

    run, thread, raised = begin(handler)
    assert reached.wait(WAIT)
    assert not run.expire(5.0)
    assert run.expired_at == 5.0
    assert run.interrupted_at < 0  # so whoever looks next says it again
    go_on.set()
    assert left.wait(WAIT)
    assert run.expire(6.0)
    thread.join(WAIT)
    (error,) = raised
    assert isinstance(error, HandlerTimeout)
    assert isinstance(error.__cause__, HandlerInterrupt)
    assert (run.expired_at, run.interrupted_at) == (5.0, 6.0)


def test_an_interrupt_is_taken_back_from_who_has_begun_a_step_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reached, go_on = threading.Event(), threading.Event()
    run, thread, raised = begin(lambda: step(reached, go_on))
    assert reached.wait(WAIT)
    looks = iter([False, True])  # what was seen before, and after
    monkeypatch.setattr("taskflow.worker.timeouts.is_inside", lambda _: next(looks))
    assert not run.expire(5.0)
    go_on.set()
    thread.join(WAIT)
    assert raised == []


@pytest.mark.parametrize("ends", [True, False])
def test_a_pool_interrupts_it_after_the_step_or_gives_it_up(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    taskflow_clock: ManualClock,
    watch: Watch,
    ends: bool,
) -> None:
    reached, go_on, free = threading.Event(), threading.Event(), threading.Event()
    did: list[str] = []

    @taskflow_registry.subscribe("made", queue="work", timeout=5, retries=0)
    def handler(payload: Any) -> None:
        try:
            step(reached, go_on, did)
            turn_until(free)
        except HandlerInterrupt:
            did.append("interrupted")
            raise

    done = watch.done(1)
    with running(taskflow_broker, taskflow_registry, watch, concurrency=1) as pool:
        publish("made", 1)
        assert reached.wait(WAIT)
        (job,) = pool._inflight.running
        run = job.running
        assert run is not None
        watch.until_true(lambda: run.expired_at is not None)
        assert run.interrupted_at < 0
        if ends:
            go_on.set()
        watch.until(done, step=0.05 if ends else 1.0)
        assert run.abandoned is not ends
        assert did == (["the step", "interrupted"] if ends else [])
        free.set()
        go_on.set()
    assert taskflow_broker.counts("work").dead_lettered == 1


class Busy:
    """A handler that publishes and keeps records, over and over, and goes on when interrupted."""

    def __init__(self, broker: Broker, group: GroupCommit, name: str) -> None:
        self._broker, self._group, self._name = broker, group, name
        self.over = False
        self.began = threading.Semaphore(0)
        """Released when it has begun, and when it goes on after an interrupt."""
        self._outside = threading.Semaphore(0)
        self.published: list[str] = []
        self.kept: list[str] = []
        self.tried = 0
        self.errors: list[Exception] = []

    def run(self) -> None:
        owes = True
        while not self.over:
            try:
                while not self.over:
                    if owes:
                        owes = False
                        self.began.release()
                    self._turn()
            except HandlerInterrupt:
                owes = True
            except Exception as error:
                self.errors.append(error)
                return

    def wait_until_outside(self) -> None:
        """Until it has ended a turn, or a part of one and a turn."""
        while self._outside.acquire(blocking=False):
            pass
        self._outside.acquire(timeout=WAIT)

    def _turn(self) -> None:
        self.tried += 1
        key = f"{self._name}-{self.tried}"
        publish("made", key, broker=self._broker)
        self.published.append(key)
        put = Put(kind="test", key=key, value="1", expected=0)
        made = self._group.apply(self._broker, Change(records=[put]))
        if made.refused is not None:
            raise made.refused
        self.kept.append(key)
        self._outside.release()
        for _ in range(9):  # other threads get their turn here, too
            select.select([], [], [], 0)


@pytest.fixture
def turns() -> Iterator[None]:
    """Threads change where they wait, and nowhere else: so not between a look and an interrupt."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(WAIT)
    yield
    sys.setswitchinterval(before)


def test_who_begins_a_thread_is_not_interrupted() -> None:
    begun = threading.Event()

    class Unsaid(threading.Event):
        def set(self) -> None:
            begun.set()

    new = threading.Thread(target=lambda: None)
    said = new._started = Unsaid()  # type: ignore[attr-defined]
    thread = threading.Thread(target=new.start)
    thread.start()
    assert begun.wait(WAIT)
    assert thread.ident is not None
    assert is_inside(thread.ident)
    threading.Event.set(said)
    thread.join(WAIT)
    assert not is_inside(thread.ident)


@pytest.mark.usefixtures("turns")
@pytest.mark.parametrize("durability", ["power", "process"])
def test_no_interrupt_leaves_anything_half_done_in_a_file(tmp_path: Path, durability: str) -> None:
    random = Random(7)
    broker = open_address(f"sqlite:///{tmp_path}/broker.db?durability={durability}")
    broker.create_topic("made")
    broker.create_queue("work")
    broker.subscribe("made", "work")
    group = GroupCommit()
    late, other = Busy(broker, group, "late"), Busy(broker, group, "other")
    run, thread, raised = begin(late.run)
    beside = threading.Thread(target=other.run, daemon=True)
    beside.start()
    landed = 0
    for _ in range(INTERRUPTS):
        if late.errors or other.errors or not late.began.acquire(timeout=WAIT):
            break
        for _ in range(random.randrange(4)):
            select.select([], [], [], 0)
        for _ in range(TRIES):
            if run.expire(1.0):
                landed += 1
                break
            late.wait_until_outside()
        else:
            late.began.release()
    late.over = other.over = True
    for one in (thread, beside):
        one.join(WAIT)
        assert not one.is_alive()
    assert (late.errors, other.errors, raised) == ([], [], [])
    assert landed > INTERRUPTS // 2

    publish("made", "after", broker=broker)
    bodies = [found.body for found in broker.peek("work", 10_000)]
    for busy in (late, other):
        for number in range(1, busy.tried + 1):
            key = f"{'late' if busy is late else 'other'}-{number}"
            copies = sum(f'"data":"{key}"' in body for body in bodies)
            assert copies == 1 if key in busy.published else copies <= 1
            records = broker.records("test", [key])
            assert key in records or key not in busy.kept
    broker.close()
