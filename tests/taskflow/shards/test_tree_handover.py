"""Runs come into several files from another broker, and leave them: each once."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from taskflow import Broker, Result, open_broker, task
from taskflow.broker.change import Add, Change
from taskflow.brokers.copying.copy import Copy
from taskflow.brokers.copying.tree_tally import TreeTally
from taskflow.brokers.sharded.broker import ShardedBroker
from taskflow.errors import ConfigError
from taskflow.publisher import using
from taskflow.tasks.lost import end_if_lost
from taskflow.tasks.run import load
from taskflow.tasks.run_trees import RunTrees
from taskflow.testing import ManualClock
from tests.taskflow.copying.tree_world import KEY, TreeWorld, kept_by
from tests.taskflow.shards.conftest import Open
from tests.taskflow.shards.dying import Died, dying_before_the_commit_of, id_in, key_in


@pytest.fixture
def other(tmp_path: Path, taskflow_clock: ManualClock) -> Iterator[Broker]:
    """A broker of one file."""
    broker = open_broker(f"sqlite:///{tmp_path}/other.db", clock=taskflow_clock)
    yield broker
    broker.close()


@pytest.fixture
def world() -> TreeWorld:
    return TreeWorld()


def copied(source: Broker, target: Broker) -> dict[str, TreeTally]:
    copy = Copy(source, target, trees=[RunTrees()])
    copy.run()
    return {one.name: one for one in copy.trees.tallies}


def copy_and_die(source: Any, target: Any, verb: str, dying: ShardedBroker, number: int) -> None:
    """Die while that verb is done for the first time, before the commit in this file."""
    broker = source if verb != "take_in_trees" else target
    inner = getattr(broker, verb)

    def dies(*given: Any) -> None:
        with dying_before_the_commit_of(dying, number):
            inner(*given)
        raise Died

    setattr(broker, verb, dies)
    with suppress(Died):
        copied(source, target)
    setattr(broker, verb, inner)


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_who_dies_between_two_files_has_moved_each_run_once(
    opened: Open, other: Broker, world: TreeWorld, number: int
) -> None:
    """Another one opens the broker, whose worker goes on; and then the copy is repeated."""
    target = opened()
    found = world.fill(other)
    was = kept_by(other)
    world.declare(target)
    copy_and_die(other, target, "take_in_trees", target, number)
    again = opened()
    world.work(again)
    copied(other, again)
    assert other.count_records("run") == {}
    if not world.effects["add 2"]:
        assert kept_by(again) == was
    world.finish(again, found)


@pytest.mark.parametrize("copying", [True, False])
def test_no_run_is_lost_whose_message_is_owed_to_another_file(
    opened: Open, other: Broker, world: TreeWorld, copying: bool
) -> None:
    """Somebody asks before that is done: of a run that was copied, and of one that was called."""
    target = opened()
    world.declare(target)
    world.declare(other)
    call = world.lined.options(id=id_in(1), group="g")
    assert target.course.placement.fifo == 0
    if copying:
        with using(other):
            call.delay(5)
        copy_and_die(other, target, "take_in_trees", target, 0)
    else:
        with using(target), dying_before_the_commit_of(target, 0):
            call.delay(5)
    row = load(target, [id_in(1)])[id_in(1)]
    found = end_if_lost(target, row)
    assert (row.state, found and found.state) == ("waiting", "waiting")
    world.work(target)
    assert Result[int](row.id, broker=target).get(0) == 5


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["hand_out_trees", "let_trees_go"])
@pytest.mark.parametrize("number", [0, 1])
def test_who_dies_while_runs_leave_a_file_has_moved_each_once(
    opened: Open, other: Broker, world: TreeWorld, verb: str, number: int
) -> None:
    source = opened()
    found = world.fill(source)
    was = kept_by(source)
    copy_and_die(source, other, verb, source, number)
    world.declare(other)
    worked = world.work(other)
    copied(opened(), other)
    assert not any(kept_by(source)[0].values())
    assert kept_by(source)[1] == {}
    if not worked:
        assert kept_by(other) == was
    world.finish(other, found)


def test_a_key_and_steps_in_another_file_than_their_run_go_along(
    opened: Open, other: Broker, world: TreeWorld
) -> None:
    source = opened()
    world.declare(source)
    with using(source):
        run = world.keyed.options(id=id_in(0), key=key_in(1)).delay(1)
    assert copied(source, other)[KEY] == TreeTally(KEY, moved=1)
    key = f"task/{KEY}/{key_in(1)}"
    assert (source.holders([key]), other.holders([key])) == ({}, {key: run.id})
    assert copied(other, source)[KEY] == TreeTally(KEY, moved=1)
    assert source.holders([key]) == {key: run.id}


def test_what_changes_in_another_file_just_then_is_left(
    opened: Open, other: Broker, world: TreeWorld
) -> None:
    source: Any = opened()
    world.declare(source)
    of_id = source.course.placement.of_id
    ids = (f"order-{n}" for n in range(100))
    with using(source):
        elsewhere = next(id for id in ids if of_id(id) != of_id(f"{id}/effect"))
        run = world.flow.options(id=elsewhere).delay("c")
    world.work(source)
    hand_out = source.hand_out_trees

    def late(batch: str, to: str, asked: Any) -> Any:
        step = next(one for one in asked[0].seen if one.kind == "step")
        shard = source.shards[of_id(step.key)]
        assert shard.number != of_id(run.id)
        shard.broker.apply([Change(counters=[Add("step", step.key, 1)])])
        return hand_out(batch, to, asked)

    source.hand_out_trees = late
    assert copied(source, other)["tests.flow"] == TreeTally("tests.flow", in_flight=1)
    source.hand_out_trees = hand_out
    assert copied(source, other)["tests.flow"] == TreeTally("tests.flow", moved=1)
    assert Result(run.id, broker=other).state == "suspended"


def test_a_run_whose_message_lies_elsewhere_is_said_to_be_scattered(
    opened: Open, other: Broker, world: TreeWorld
) -> None:
    source = opened()

    @task(registry=world.registry, name="tests.few", queue="sums", result="1d", limit=("n", 1))
    def few(n: int) -> int:
        return n

    world.declare(source)
    with using(source):
        for n in range(4):
            few.options(id=id_in(n % 2, f"few{n}")).delay(0)
    assert copied(source, other)["tests.few"] == TreeTally("tests.few", moved=2, scattered=2)
    world.work(source)
    assert copied(source, other)["tests.few"].moved == 2, "they have ended"


def test_the_number_of_files_stays_while_runs_are_on_their_way(
    opened: Open, other: Broker, world: TreeWorld, taskflow_clock: ManualClock
) -> None:
    source: Any = opened()
    world.declare(source)
    with using(source):
        run = world.add.delay(1)
    copy_and_die(source, other, "let_trees_go", source, source.course.placement.of_id(run.id))
    taskflow_clock.advance(7200)
    with pytest.raises(ConfigError, match="its runs are being moved"):
        source.resharding.run(3)
    copied(source, other)
    source.resharding.run(3)
    world.work(other)
    assert Result[int](run.id, broker=other).get(0) == 2
