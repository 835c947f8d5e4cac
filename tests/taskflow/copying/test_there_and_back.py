"""A copy that was interrupted, and then another one: back again, or to a third broker."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from taskflow import Broker, Result
from taskflow.broker.change import Change, Put
from taskflow.brokers.copying.copy import Copy
from taskflow.brokers.copying.tree_tally import TreeTally
from taskflow.errors import ConfigError
from taskflow.message import Message
from taskflow.publisher import using
from taskflow.tasks.run_trees import RunTrees
from taskflow.testing import ManualClock
from tests.taskflow.copying.conftest import Open
from tests.taskflow.copying.test_copy import drained
from tests.taskflow.copying.test_copy_crashes import Died
from tests.taskflow.copying.tree_world import TreeWorld, copied, kept_by

WAYS = ("memory>memory", "2 files>memory", "memory>2 files", "taskflow>other", "2 files>2 files")
QUEUES = ("plain", "lanes.fifo")


@contextmanager
def dying(broker: Any, verb: str) -> Iterator[None]:
    """Who calls this dies before anything is done."""
    inner = getattr(broker, verb)

    def dies(*_: Any) -> None:
        raise Died

    setattr(broker, verb, dies)
    with suppress(Died):
        yield
    setattr(broker, verb, inner)


def waiting(broker: Broker) -> dict[str, list[str]]:
    """The ids of what is there, by queue."""
    names = set(QUEUES).intersection(broker.queues())
    return {name: sorted(one.id for one in broker.peek(name, 100)) for name in names}


def received(broker: Broker) -> list[str]:
    """The ids of what can be received."""
    for name in QUEUES:
        broker.pause(name, paused=False)
    return sorted(one.id for name in QUEUES for one in drained(broker, name))


@pytest.mark.parametrize("after", [0, 4000])
@pytest.mark.parametrize("way", WAYS)
def test_messages_that_came_back_before_their_copy_was_ended_are_there_once(
    opened: Open, clock: ManualClock, way: str, after: float
) -> None:
    source, target = (opened(name) for name in way.split(">"))
    source.create_queue("plain")
    source.create_queue("lanes.fifo")
    source.send("plain", [Message(f"p{n}", "x") for n in range(5)])
    source.send(
        "lanes.fifo",
        [Message(f"f{n}", "x", group=f"g{n % 2}", deduplication_id=str(n)) for n in range(5)],
    )
    everything = waiting(source)
    let_go = source.let_go  # type: ignore[attr-defined]
    source.let_go = lambda *_: None  # type: ignore[attr-defined]
    Copy(source, target).run()
    source.let_go = let_go  # type: ignore[attr-defined]
    assert len(source.batches()) > 1  # type: ignore[attr-defined]
    clock.advance(after)
    Copy(target, source).run()
    assert waiting(source) == everything
    assert not any(waiting(target).values())
    Copy(source, target).run()
    assert waiting(target) == everything
    assert source.batches() == []  # type: ignore[attr-defined]
    assert not any(waiting(source).values())
    assert received(target) == sorted(id for some in everything.values() for id in some)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("verb", ["take_in_trees", "let_trees_go"])
def test_runs_that_came_back_before_their_copy_was_ended_are_at_one_broker(
    opened: Open, clock: ManualClock, way: str, verb: str
) -> None:
    source, target = (opened(name) for name in way.split(">"))
    world = TreeWorld()
    found = world.fill(source)
    was = kept_by(source)
    with dying(target if verb == "take_in_trees" else source, verb):
        copied(source, target)
    copied(target, source)
    copied(source, target)
    copied(source, target)
    assert kept_by(target) == was
    assert not any(kept_by(source)[0].values())
    target.pause("lined.fifo", paused=False)
    world.finish(target, found)


@pytest.mark.parametrize("verb", ["hand_out", "hand_out_trees"])
def test_what_goes_to_another_broker_is_left_to_that_copy(opened: Open, verb: str) -> None:
    """It was begun after this one had looked for such."""
    source, target, third = opened("memory"), opened("memory"), opened("memory")
    world = TreeWorld()
    world.declare(source)
    source.create_queue("plain")
    with using(source):
        run = world.add.delay(1)
    source.send("plain", [Message("m", "x")])
    late = Copy(source, third, trees=[RunTrees()])
    declare = late._declaring.declare

    def meanwhile() -> None:
        into = "take_in" if verb == "hand_out" else "take_in_trees"
        if verb == "hand_out":
            world.work(source)  # no tree is on its way before
            Result(run.id, broker=source).forget()
        with dying(target, into):
            copied(source, target)
        declare()

    late._declaring.declare = meanwhile  # type: ignore[method-assign]
    with pytest.raises(ConfigError, match="1 batches of an earlier copy"):
        late.run()
    copied(source, target)
    there, elsewhere = (kept_by(one) for one in (target, third))
    if verb == "hand_out":
        assert (waiting(target)["plain"], waiting(third)["plain"]) == (["m"], [])
    else:
        assert [one.key for one in there[0]["run"]] == [run.id]
        assert elsewhere[0]["run"] == []


def test_what_cannot_be_read_is_left_and_said(opened: Open) -> None:
    """A run, and one of the parts of another."""
    source, target = opened("memory"), opened("memory")
    world = TreeWorld()
    world.declare(source)
    with using(source):
        world.add.delay(1)
        group = world.add.map([5, 6]).delay()
        broken = world.add.delay(2)
    spoil(source, broken.id)
    spoil(source, next(one.key for one in kept_by(source)[0]["run"] if one.parent == group.id))
    assert copied(source, target) == {
        "tests.add": TreeTally("tests.add", moved=1, unreadable=1),
        "group": TreeTally("group", unreadable=1),
    }


def spoil(broker: Broker, id: str) -> None:
    """Have the record of a run read as another release's would."""
    one = broker.records("run", [id])[id]
    put = Put(kind="run", key=id, value="{}", label=one.label, state=one.state, parent=one.parent)
    broker.apply([Change(records=[put])])


@pytest.mark.parametrize("into", ["take_in", "take_in_trees"])
def test_copies_to_two_brokers_that_were_both_interrupted_can_both_be_ended(
    opened: Open, into: str
) -> None:
    """Each had looked for the other before that had begun."""
    source, target, third = opened("memory"), opened("memory"), opened("memory")
    world = TreeWorld()
    world.declare(source)
    source.create_queue("plain")
    with using(source):
        runs = [world.add.delay(n) for n in range(2)]
    source.send("plain", [Message("m", "x"), Message("n", "x")])
    late = Copy(source, third, trees=[RunTrees()])
    trees, check = RunTrees().find(source, None), late._check_others
    copied(source, target, "keyed")
    begin(source, target, into, next(trees).asked)
    late._check_others = lambda to: None  # type: ignore[method-assign]
    with dying(third, into):
        late.run()
    late._check_others = check  # type: ignore[method-assign]
    for other in (target, third):
        with suppress(ConfigError):
            copied(source, other)
    copied(source, target)
    copied(source, third)
    assert source.count_records("run") == {}
    assert waiting(source)["plain"] == []
    there = [id for one in (target, third) for id in waiting(one).get("plain", [])]
    assert sorted(there) == ["m", "n"]
    kept = [one.key for each in (target, third) for one in kept_by(each)[0]["run"]]
    assert sorted(kept) == sorted(run.id for run in runs)


def begin(source: Any, target: Broker, into: str, asked: Any) -> None:
    """Hand out a batch to this broker."""
    to = target.records("broker", ["id"])["id"].value
    if into == "take_in":
        assert source.hand_out("b", "plain", to, 1).messages
    else:
        assert source.hand_out_trees("b", to, [asked])
