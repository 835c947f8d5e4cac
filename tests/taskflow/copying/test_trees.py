"""`Copy` of runs: each is at the other broker afterwards as it was, with all that hangs on it."""

from typing import Any

import pytest

from taskflow import Broker, Result, Worker, schedules
from taskflow.broker.change import Change, Put, Take
from taskflow.brokers.copying import tree_copy, trees
from taskflow.brokers.copying.copy import Copy
from taskflow.brokers.copying.tree_tally import TreeTally
from taskflow.errors import ConfigError
from taskflow.message import Message
from taskflow.publisher import using
from taskflow.scheduling.schedule_trees import ScheduleTrees
from taskflow.tasks.preparing import key_of
from taskflow.tasks.run_trees import RunTrees
from taskflow.testing import ManualClock
from taskflow.workflows.signals import send_signal
from tests.taskflow.copying.conftest import Open
from tests.taskflow.copying.tree_world import KEY, TreeWorld, kept_by

TREES = (RunTrees(), ScheduleTrees())
WAYS = (
    *("memory>memory", "memory>taskflow", "taskflow>memory", "taskflow>other"),
    *("memory>3 files", "3 files>memory", "3 files>2 files", "taskflow>3 files", "3 files>other"),
)


@pytest.fixture(params=WAYS)
def pair(request: pytest.FixtureRequest, opened: Open) -> tuple[Broker, Broker]:
    source, _, target = request.param.partition(">")
    return opened(source), opened(target)


def copied(source: Broker, target: Broker, *queues: str, wait: float = 0.0) -> dict[str, TreeTally]:
    copy = Copy(source, target, queues, TREES)
    copy.run(wait)
    return {one.name: one for one in copy.trees.tallies}


def test_runs_are_there_as_they_were_and_end_as_they_should(
    pair: tuple[Broker, Broker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree_copy, "BATCH", 3)
    source, target = pair
    world = TreeWorld()
    found = world.fill(source)
    was = kept_by(source)
    tallies = copied(source, target)
    assert tallies == {
        name: TreeTally(name, moved=count)
        for name, count in (
            *(("tests.add", 4), ("tests.fails", 1), ("tests.flow", 3), ("tests.lined", 3)),
            *((KEY, 1), ("tests.total", 1)),
        )
    }
    assert kept_by(target) == was
    records, holders, messages = kept_by(source)
    assert not any(records.values())
    assert (holders, set(map(len, messages.values()))) == ({}, {0})
    assert [one.id for one in target.peek("lined.fifo")] == [
        found[f"lined {n}"].id for n in (0, 1, 2)
    ]
    assert not send_signal(source, found["flow"].id, "go", 1)
    assert not found["keyed"].cancel()
    assert world.work(source) == []
    world.finish(target, found)
    assert copied(target, source)["tests.flow"].moved == 3, "and their results go back"
    assert Result(found["flow"].id, broker=source).get(0) == 70


def test_a_kept_result_goes_when_its_time_is_over(
    pair: tuple[Broker, Broker], clock: ManualClock
) -> None:
    source, target = pair
    world = TreeWorld()
    world.declare(source)
    with using(source):
        done = world.add.delay(1)
    world.work(source)
    clock.advance(86000)
    copied(source, target)
    result = Result[int](done.id, broker=target)
    assert result.get(0) == 2
    clock.advance(401)
    assert result.state == "unknown"


def test_a_tree_of_which_anything_is_in_flight_stays_whole(
    pair: tuple[Broker, Broker],
) -> None:
    source, target = pair
    world = TreeWorld()
    world.declare(source)
    with using(source):
        alone = world.add.delay(1)
        group = world.add.map([5, 6]).delay()
    held = source.receive("sums", limit=2)
    assert held[0].id == alone.id
    assert copied(source, target) == {
        "tests.add": TreeTally("tests.add", in_flight=1),
        "group": TreeTally("group", in_flight=1),
    }
    assert target.peek("sums") == []
    assert target.records("run", [alone.id, group.id]) == {}
    source.give_back(held)
    assert {name: one.moved for name, one in copied(source, target).items()} == {
        "tests.add": 1, "group": 1
    }  # fmt: skip
    world.work(target)
    assert Result[Any](group.id, broker=target).get(0) == [6, 7]


def test_what_waits_for_a_retry_or_runs_is_left_and_looked_at_again(
    opened: Open, clock: ManualClock
) -> None:
    source, target = opened("memory"), opened("memory")
    world = TreeWorld()
    world.declare(source)
    with using(source):
        run = world.add.delay(1)
    source.apply(
        [
            Change(
                records=[
                    Put(
                        kind="run",
                        key=run.id,
                        value=source.records("run", [run.id])[run.id].value,
                        label="tests.add",
                        state="running",
                    )
                ]
            )
        ]
    )
    assert copied(source, target)["tests.add"] == TreeTally("tests.add", in_flight=1)
    assert next(one.of_runs for one in Copy(source, target, ["sums"]).run()) == 1
    world.work(source)
    assert copied(source, target, wait=5)["tests.add"] == TreeTally("tests.add", moved=1)


@pytest.mark.parametrize("way", ["memory>memory", "taskflow>other"])
def test_groups_of_a_fifo_queue_keep_their_order_with_messages_of_both_sorts(
    opened: Open, way: str
) -> None:
    source, target = (opened(name) for name in way.split(">"))
    world = TreeWorld()
    world.declare(source)
    ids = []
    with using(source):
        for n in range(6):
            if n % 3:
                ids.append(world.lined.options(group="g").delay(n).id)
            else:
                plain = Message(f"plain {n}", "x", group="g", deduplication_id=str(n))
                source.send("lined.fifo", [plain])
                ids.append(plain.id)
    assert copied(source, target)["tests.lined"] == TreeTally("tests.lined", moved=4)
    assert [one.id for one in target.peek("lined.fifo", 100)] == ids


def test_what_the_other_broker_has_already_stays_and_is_said(
    pair: tuple[Broker, Broker],
) -> None:
    source, target = pair
    world = TreeWorld()
    for one in (source, target):
        world.declare(one)
    with using(source):
        key = world.keyed.options(key="k").delay(1)
        same = world.add.options(id="same").delay(2)
        world.add.delay(3)
    with using(target):
        there = world.keyed.options(key="k").delay(4)
        world.add.options(id="same").delay(2)
    was = kept_by(source)
    assert copied(source, target) == {
        KEY: TreeTally(KEY, taken=1),
        "tests.add": TreeTally("tests.add", moved=1, taken=1),
    }
    assert len(kept_by(source)[0]["run"]) == 2
    assert kept_by(source)[1] == was[1] == {key_of(KEY, "k"): key.id}
    world.work(target)
    assert Result(there.id, broker=target).get(0) == 4
    assert Result(same.id, broker=target).forget() is None  # type: ignore[func-returns-value]
    tallies = copied(source, target)
    assert (tallies[KEY].moved, tallies["tests.add"].moved) == (1, 1)
    assert target.holders([key_of(KEY, "k")]) == {key_of(KEY, "k"): key.id}


def test_what_comes_between_the_look_and_the_taking_comes_back(
    opened: Open, clock: ManualClock
) -> None:
    """The other broker is given a run of the same id, and somebody the key, just then."""
    source, target = opened("memory"), opened("taskflow")
    world = TreeWorld()
    for one in (source, target):
        world.declare(one)
    with using(source):
        world.keyed.options(key="k").delay(1)
        world.lined.options(id="same", group="g").delay(2)
    was = kept_by(source)
    take_in = target.take_in_trees  # type: ignore[attr-defined]

    def late(batch: str, some: Any) -> Any:
        target.apply([Change(keys=[Take(key_of(KEY, "k"), "somebody")])])
        target.apply([Change(records=[Put(kind="run", key="same", value="{}", state="done")])])
        return take_in(batch, some)

    target.take_in_trees = late  # type: ignore[attr-defined]
    tallies = copied(source, target)
    assert (tallies[KEY].taken, tallies["tests.lined"].taken) == (1, 1)
    assert kept_by(source) == was
    assert source.tree_batches() == []  # type: ignore[attr-defined]


def test_what_was_made_anew_meanwhile_holds_back_what_comes_back(opened: Open) -> None:
    source, target = opened("memory"), opened("memory")
    world = TreeWorld()
    world.declare(source)
    with using(source):
        world.add.options(id="same").delay(2)
    let_go = source.let_trees_go  # type: ignore[attr-defined]

    def late(batch: str, roots: Any) -> Any:
        with using(source):
            world.add.options(id="same").delay(2)
        return let_go(batch, roots)

    take_in = target.take_in_trees  # type: ignore[attr-defined]

    def refuses(batch: str, some: Any) -> Any:
        target.apply([Change(records=[Put(kind="run", key="same", value="{}", state="done")])])
        return take_in(batch, some)

    target.take_in_trees = refuses  # type: ignore[attr-defined]
    source.let_trees_go = late  # type: ignore[attr-defined]
    copied(source, target)
    target.take_in_trees, source.let_trees_go = take_in, let_go  # type: ignore[attr-defined]
    (batch,) = source.tree_batches()  # type: ignore[attr-defined]
    assert [one.root for one in source.hand_trees_again(batch.id)] == ["same"]  # type: ignore[attr-defined]
    world.work(source)
    Result("same", broker=source).forget()
    copied(source, target)
    assert source.tree_batches() == []  # type: ignore[attr-defined]
    assert Result("same", broker=source).state == "waiting"


def test_a_tree_that_is_too_large_is_left_and_one_of_ten_thousand_goes(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = opened("memory"), opened("memory")
    world = TreeWorld()
    world.declare(source)
    with using(source):
        group = world.add.map(range(40)).delay()
    monkeypatch.setattr("taskflow.tasks.run_trees.MOST_RECORDS", 40)
    assert copied(source, target)["group"] == TreeTally("group", too_large=1)
    monkeypatch.setattr("taskflow.tasks.run_trees.MOST_RECORDS", 41)
    monkeypatch.setattr("taskflow.tasks.run_trees.MOST_TEXT", 1000)
    assert copied(source, target)["group"] == TreeTally("group", too_large=1)
    monkeypatch.setattr("taskflow.tasks.run_trees.MOST_TEXT", trees.MOST_TEXT)
    assert copied(source, target)["group"] == TreeTally("group", moved=1)
    world.work(target)
    assert sum(Result[Any](group.id, broker=target).get(0)) == sum(range(1, 41))


def test_only_the_runs_of_the_queues_that_are_asked_for_go(opened: Open) -> None:
    source, target = opened("memory"), opened("memory")
    world = TreeWorld()
    world.fill(source)
    assert {name: one.moved for name, one in copied(source, target, "keyed").items()} == {KEY: 1}
    assert {name: one.moved for name, one in copied(source, target, "sums").items()} == {
        "tests.add": 4, "tests.fails": 1, "tests.total": 1
    }  # fmt: skip


def test_schedules_that_were_put_go_and_fire_there(opened: Open, clock: ManualClock) -> None:
    source, target = opened("memory"), opened("taskflow")
    world = TreeWorld()
    world.declare(source)
    schedules.put("each", every=60, task=world.add, args=[1], broker=source)
    schedules.put("busy", every=60, task=world.add, args=[2], overlap="skip", broker=source)
    clock.advance(61)
    world.work(source)
    clock.advance(61)
    Worker(source, registry=world.registry).tend()
    was = schedules.get("each", broker=source)
    tallies = copied(source, target)
    assert tallies["(schedules)"] == TreeTally("(schedules)", moved=2), (
        "their runs went before them"
    )
    assert schedules.get("each", broker=source) is None
    assert schedules.get("each", broker=target) == was
    assert Worker(source, registry=world.registry).tend() is None
    assert world.effects == {"add 1": 1, "add 2": 1}
    clock.advance(60)
    Worker(target, registry=world.registry).tend()
    world.work(target)
    assert world.effects == {"add 1": 2, "add 2": 2}, "a run that waits holds back the next tick"
    clock.advance(60)
    Worker(target, registry=world.registry).tend()
    world.work(target)
    assert world.effects == {"add 1": 3, "add 2": 3}


def test_a_schedule_stays_while_its_last_run_does(opened: Open, clock: ManualClock) -> None:
    source, target = opened("memory"), opened("memory")
    world = TreeWorld()
    world.declare(source)
    schedules.put("busy", every=60, task=world.add, args=[2], overlap="skip", broker=source)
    clock.advance(61)
    Worker(source, registry=world.registry).tend()
    held = source.receive("sums")
    assert copied(source, target)["(schedules)"] == TreeTally("(schedules)", in_flight=1)
    source.give_back(held)
    assert copied(source, target)["(schedules)"] == TreeTally("(schedules)", moved=1)


def test_a_copy_to_another_broker_is_ended_first(opened: Open) -> None:
    source, target, third = opened("memory"), opened("memory"), opened("memory")
    world = TreeWorld()
    world.declare(source)
    with using(source):
        run = world.add.delay(1)
    copied(source, target, "keyed")
    to = target.records("broker", ["id"])["id"].value
    (found,) = (one.asked for one in RunTrees().find(source, None))
    assert found is not None
    assert source.hand_out_trees("b", to, [found])  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="1 batches of an earlier copy"):
        copied(source, third)
    copied(source, target)
    world.work(target)
    assert Result[int](run.id, broker=target).get(0) == 2
