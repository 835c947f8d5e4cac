"""Checkpoints of threads that come at once: one transaction, and each its own answer."""

import gc
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from taskflow import Broker, Registry, Run, Worker, workflow
from taskflow.broker.change import Applied, Change, Put
from taskflow.broker.prompt import Gathered, Outcome
from taskflow.brokers import open_address
from taskflow.errors import BrokerUnavailable, FileReplaced, HandlerInterrupt, VersionConflict
from taskflow.testing import ManualClock, memory_broker
from taskflow.workflows.group_commit import QUICK, GroupCommit, group_of

WAIT = 30.0


class Watched(deque[Any]):
    """Tells when so many have come to wait."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.wanted, self.full = count, threading.Event()

    def append(self, one: Any, /) -> None:
        """One more."""
        super().append(one)
        if len(self) >= self.wanted:
            self.full.set()


class Slow:
    """A broker that makes no change before the others wait."""

    def __init__(self, broker: Broker, until: threading.Event) -> None:
        self._broker, self._until = broker, until
        self.clock = broker.clock
        self.groups: list[int] = []

    def apply(self, changes: Sequence[Change]) -> list[Applied]:
        """As of a broker; a change without records is no change, and one of `down` ends it."""
        assert self._until.wait(WAIT)
        self.groups.append(len(changes))
        if any(not one.records for one in changes):
            raise TypeError("no change")
        if any(one.records[0].key == "down" for one in changes):
            raise BrokerUnavailable("away")
        return self._broker.apply(changes)


def change(key: str, expected: int = 0) -> Change:
    """A record, of which there is none."""
    return Change(records=[Put(kind="test", key=key, value="{}", expected=expected)])


def together(
    broker: Broker, *others: Change
) -> tuple[list[int], list[Applied | BaseException | None]]:
    """The changes of threads that come while the first one is made; the sizes of the groups, and
    what became of each of the others."""
    group = GroupCommit()
    waiting = Watched(len(others))
    found: list[Applied | BaseException | None] = [None] * len(others)
    slow: Any = Slow(broker, waiting.full)

    def apply(at: int, one: Change) -> None:
        try:
            found[at] = group.apply(slow, one)
        except Exception as error:
            found[at] = error

    first = threading.Thread(target=group.apply, args=(slow, change("first")))
    began = threading.Event()
    slow_apply = slow.apply

    def noted(changes: Sequence[Change]) -> list[Applied]:
        began.set()
        answers: list[Applied] = slow_apply(changes)
        return answers

    slow.apply = noted
    first.start()
    assert began.wait(WAIT)
    group._waiting = waiting
    threads = [threading.Thread(target=apply, args=one) for one in enumerate(others)]
    for thread in threads:
        thread.start()
    for thread in (first, *threads):
        thread.join(WAIT)
    return slow.groups, found


def test_who_waits_goes_together_and_each_has_its_own_answer(taskflow_broker: Broker) -> None:
    groups, found = together(
        taskflow_broker, change("a"), change("b", 7), change("c"), change("first")
    )
    assert groups == [1, 4]
    refused = [one.refused if isinstance(one, Applied) else one for one in found]
    assert [type(one) for one in refused] == [
        type(None),
        VersionConflict,
        type(None),
        VersionConflict,
    ]
    assert taskflow_broker.records("test", ["first", "a", "b", "c"]).keys() == {"first", "a", "c"}


def test_what_spoils_a_group_spoils_nobody_else(taskflow_broker: Broker) -> None:
    groups, found = together(taskflow_broker, change("a"), Change(), change("b"))
    assert sorted(groups) == [1, 1, 1, 1, 3]
    assert [type(one) for one in found] == [Applied, TypeError, Applied]


def test_a_broker_that_is_away_is_so_for_all(taskflow_broker: Broker) -> None:
    groups, found = together(taskflow_broker, change("a"), change("down"))
    assert groups == [1, 2]
    assert [type(one) for one in found] == [BrokerUnavailable, BrokerUnavailable]


@pytest.mark.parametrize("used", [False, True])
def test_a_broker_is_let_go(used: bool) -> None:
    broker = memory_broker()
    if used:
        group_of(broker).apply(broker, change("a"))
        assert group_of(broker) is group_of(broker)
    gone = weakref.ref(broker)
    broker.close()
    del broker
    gc.collect()
    assert gone() is None


def test_a_step_that_sends_nothing_wakes_nobody(
    taskflow_registry: Registry, taskflow_broker: Broker
) -> None:
    heard: list[set[str]] = []
    during: list[int] = []

    @workflow(registry=taskflow_registry, queue="flows", name="flow")
    def flow(ctx: Run) -> None:
        during.append(len(heard))
        ctx.step(len, "a")
        ctx.options(key=2).step(len, "b")
        during.append(len(heard))

    worker = Worker(taskflow_broker, registry=taskflow_registry)
    flow.delay()
    taskflow_broker.watch(lambda queues: heard.append(set(queues)))
    worker.drain()
    assert during[0] == during[1]
    assert set() not in heard


class Interrupt(BaseException):
    """As a time limit raises it in a thread that waits."""


def test_who_is_interrupted_while_it_leads_leaves_that_to_the_next(
    taskflow_broker: Broker,
) -> None:
    """The one that makes those of all that wait dies of it: the others are made all the same."""
    group = GroupCommit()
    waiting = group._waiting = Watched(3)
    slow: Any = Slow(taskflow_broker, waiting.full)
    began = threading.Event()
    found: dict[str, object] = {}

    class Deadly:
        clock = taskflow_broker.clock

        def apply(self, changes: Sequence[Change]) -> list[Applied]:
            began.set()
            if len(changes) > 1 and not found.get("died"):
                found["died"] = True
                raise Interrupt
            return slow.apply(changes)  # type: ignore[no-any-return]

    deadly: Any = Deadly()

    def apply(name: str) -> None:
        try:
            found[name] = group.apply(deadly, change(name))
        except Interrupt:
            found[name] = "interrupted"

    threads = [threading.Thread(target=apply, args=(name,)) for name in ("first", "a", "b", "c")]
    threads[0].start()
    assert began.wait(WAIT)
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert [found[name] == "interrupted" for name in ("first", "a", "b", "c")].count(True) == 1
    assert len(taskflow_broker.records("test", ["first", "a", "b", "c"])) == 3
    assert group.apply(deadly, change("later")).refused is None


def test_a_thread_that_is_interrupted_as_it_takes_its_turn_leaves_it_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    group, broker = GroupCommit(), memory_broker()
    begin = group._begin

    def interrupted(me: object) -> bool:
        assert begin(me)
        raise HandlerInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(group, "_begin", interrupted)
        with pytest.raises(HandlerInterrupt):
            group.apply(broker, change("a"))
        with pytest.raises(HandlerInterrupt):
            group.at_once(cast(Gathered, broker), [change("a")])
    assert group._owner is None
    assert group.apply(broker, change("a")).refused is None


# ---- the disk ------------------------------------------------------------------------------------
class Disk:
    """A broker with a disk to wait for: how many changes each transaction had, and how many
    transactions were made before each wait. `during` is called in the first transaction, `waiting`
    in each wait."""

    def __init__(
        self, broker: Broker, during: Callable[[], None], waiting: Callable[[int], None]
    ) -> None:
        self._broker, self._during, self._waiting = broker, during, waiting
        self.clock = broker.clock
        self.groups: list[int] = []
        self.waits: list[int] = []

    def apply(self, changes: Sequence[Change]) -> list[Applied]:
        self.groups.append(len(changes))
        if len(self.groups) == 1:
            self._during()
        return self._broker.apply(changes)

    def gathered(
        self, verbs: Sequence[Callable[[], Any]], patience: float | None = None
    ) -> tuple[list[Outcome], Callable[[], None]]:
        """As of a broker."""
        assert patience is not None

        def wait() -> None:
            self.waits.append(len(self.groups))
            self._waiting(len(self.waits))

        return [(verb(), None) for verb in verbs], wait


class Friends:
    """Threads that keep something while the first one's is being made."""

    def __init__(self, broker: Broker, waiting: Callable[[int], None] = lambda number: None):
        self.found: dict[str, object] = {}
        self.group = GroupCommit()
        self.group._has_company = self.group._is_slow = True  # as it was of late
        self.disk = Disk(broker, self._come, waiting)
        self.threads = [threading.Thread(target=self.keep, args=(name,)) for name in "abc"]

    def keep(self, name: str) -> None:
        try:
            self.found[name] = self.group.apply(cast(Broker, self.disk), change(name))
        except Exception as error:
            self.found[name] = error

    def _come(self) -> None:
        waiting = self.group._waiting = Watched(len(self.threads))
        for thread in self.threads:
            thread.start()
        assert waiting.full.wait(WAIT)

    def end(self) -> None:
        for thread in self.threads:
            thread.join(WAIT)


def test_who_comes_before_the_disk_is_waited_for_waits_with_the_others(
    taskflow_broker: Broker,
) -> None:
    told: list[int] = []
    friends = Friends(taskflow_broker, lambda number: told.append(len(friends.found)))
    friends.keep("first")
    friends.end()
    assert (friends.disk.groups, friends.disk.waits) == ([1, 3], [2, 2])
    assert told == [0, 0]  # nobody, before it was on disk
    assert len(taskflow_broker.records("test", ["first", *"abc"])) == 4


def test_what_the_disk_fails_is_not_kept_for_anybody(taskflow_broker: Broker) -> None:
    def fail(number: int) -> None:
        raise BrokerUnavailable("the disk is gone")

    friends = Friends(taskflow_broker, fail)
    friends.keep("first")
    friends.end()
    assert {type(one) for one in friends.found.values()} == {BrokerUnavailable}
    assert friends.found.keys() == {"first", *"abc"}


def test_a_wait_that_fails_is_told_of_its_own_transaction(taskflow_broker: Broker) -> None:
    """The others may be in another file by then."""

    def fail(number: int) -> None:
        if number == 1:
            raise BrokerUnavailable("the disk is gone")

    friends = Friends(taskflow_broker, fail)
    friends.keep("first")
    friends.end()
    assert (friends.disk.groups, friends.disk.waits) == ([1, 3], [2, 2])
    assert {name for name, one in friends.found.items() if isinstance(one, Applied)} == {*"abc"}
    assert isinstance(friends.found["first"], BrokerUnavailable)


def test_what_was_committed_when_its_maker_was_interrupted_is_waited_for_and_not_made_again(
    taskflow_broker: Broker,
) -> None:
    def interrupt(number: int) -> None:
        if number == 1:
            raise Interrupt

    friends = Friends(taskflow_broker, interrupt)
    with pytest.raises(Interrupt):
        friends.keep("first")
    friends.end()
    assert (friends.disk.groups, friends.disk.waits) == ([1, 3], [2, 2, 2])
    refused = [one.refused for one in friends.found.values() if isinstance(one, Applied)]
    assert refused == [None] * 3


def test_where_there_is_no_disk_to_wait_for_nobody_waits_for_others(
    taskflow_broker: Broker,
) -> None:
    friends = Friends(taskflow_broker)
    gathered = friends.disk.gathered
    friends.disk.gathered = lambda *given: (gathered(*given)[0], None)  # type: ignore[method-assign,assignment]
    friends.keep("first")
    assert isinstance(friends.found["first"], Applied)
    friends.end()
    assert (sum(friends.disk.groups), friends.disk.waits) == (4, [])


@pytest.mark.parametrize("took", [QUICK / 2, 2 * QUICK])
def test_only_a_slow_disk_is_worth_more_transactions(
    taskflow_broker: Broker, taskflow_clock: ManualClock, took: float
) -> None:
    friends = Friends(taskflow_broker, lambda number: taskflow_clock.advance(took))
    friends.keep("first")
    friends.end()
    again = friends.disk.groups.copy(), friends.disk.waits.copy()
    friends.keep("later")
    assert friends.disk.groups == [*again[0], 1]
    assert len(friends.disk.waits) == len(again[1]) + (took > QUICK)


def test_it_is_seen_when_the_disk_is_slow(
    taskflow_broker: Broker, taskflow_clock: ManualClock
) -> None:
    friends = Friends(taskflow_broker)
    friends.group._is_slow = False
    apply = friends.disk.apply

    def slow(changes: Sequence[Change]) -> list[Applied]:
        taskflow_clock.advance(2 * QUICK)
        return apply(changes)

    friends.disk.apply = slow  # type: ignore[method-assign]
    friends.keep("first")
    friends.end()
    assert (friends.disk.groups, friends.disk.waits) == ([1, 3], [])
    assert friends.group._is_slow


def test_each_transaction_is_waited_for_since_the_file_may_have_become_another(
    tmp_path: Path,
) -> None:
    opened: Any = open_address(f"sqlite:///{tmp_path}/broker.db")
    group = GroupCommit()
    group._has_company = group._is_slow = True
    found: dict[str, object] = {}

    def keep(name: str) -> None:
        try:
            found[name] = group.apply(opened, change(name))
        except FileReplaced as error:
            found[name] = error

    second = threading.Thread(target=keep, args=("second",))
    gathered = opened.gathered

    def replaced(*given: Any) -> Any:
        made = gathered(*given)
        if second.ident is None:
            waiting = group._waiting = Watched(1)
            second.start()
            assert waiting.full.wait(WAIT)
            for file in tmp_path.glob("broker.db*"):
                file.unlink()
            with pytest.raises(FileReplaced):
                opened.store.check()
        return made

    opened.gathered = replaced
    keep("first")
    second.join(WAIT)
    there = opened.records("test", ["first", "second"]).keys()
    opened.close()
    told = {name for name, one in found.items() if isinstance(one, Applied)}
    assert "first" not in there
    assert told == there == {"second"}  # each is told of its own transaction


class Fatal(Watched):
    """Interrupts who takes all that wait, when they are taken."""

    def clear(self) -> None:
        """None waits."""
        super().clear()
        raise Interrupt


def test_who_is_interrupted_as_it_takes_those_that_wait_leaves_them_to_the_next(
    taskflow_broker: Broker,
) -> None:
    group = GroupCommit()
    waiting = group._waiting = Fatal(2)
    slow: Any = Slow(taskflow_broker, waiting.full)
    began = threading.Event()
    found: dict[str, object] = {}
    make = slow.apply

    def noted(changes: Sequence[Change]) -> list[Applied]:
        began.set()
        answers: list[Applied] = make(changes)
        return answers

    slow.apply = noted

    def apply(name: str) -> None:
        try:
            found[name] = group.apply(slow, change(name))
        except Interrupt:
            found[name] = "interrupted"

    threads = [
        threading.Thread(target=apply, args=(name,), daemon=True) for name in ("first", "a", "b")
    ]
    threads[0].start()
    assert began.wait(WAIT)
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert sorted(type(found.get(name)).__name__ for name in "ab") == ["Applied", "str"]


def test_a_turn_that_was_not_ended_is_ended_after_all(
    taskflow_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = GroupCommit()
    group._has_company = group._is_slow = True
    hand_on, count = group._hand_on, [0]

    def interrupted() -> None:
        count[0] += 1
        if count[0] == 1:
            raise Interrupt
        hand_on()

    monkeypatch.setattr(group, "_hand_on", interrupted)
    with pytest.raises(Interrupt):
        group.apply(taskflow_broker, change("a"))
    assert group._owner is None
