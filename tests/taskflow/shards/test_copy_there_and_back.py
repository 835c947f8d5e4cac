"""Runs leave several files, and something of their names is here again before that is ended."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from taskflow import Broker, Result, open_broker
from taskflow.brokers.copying.copy import Copy
from taskflow.publisher import using
from taskflow.tasks.run_trees import RunTrees
from taskflow.testing import ManualClock
from tests.taskflow.copying.tree_world import KEY, TreeWorld, kept_by
from tests.taskflow.shards.conftest import Open
from tests.taskflow.shards.dying import id_in, key_in


@pytest.fixture
def other(tmp_path: Path, taskflow_clock: ManualClock) -> Iterator[Broker]:
    """A broker of one file."""
    broker = open_broker(f"sqlite:///{tmp_path}/other.db", clock=taskflow_clock)
    yield broker
    broker.close()


def copied(source: Broker, target: Broker) -> None:
    Copy(source, target, trees=[RunTrees()]).run()


def copied_without_end(source: Any, target: Broker) -> None:
    """As if killed before the batches are let go."""
    let_go = source.let_trees_go
    source.let_trees_go = lambda *_: []
    copied(source, target)
    source.let_trees_go = let_go
    assert source.tree_batches()


def test_a_run_that_came_back_keeps_its_key_when_its_copy_is_ended(
    opened: Open, other: Broker
) -> None:
    source: Any = opened()
    world = TreeWorld()
    world.declare(source)
    with using(source):
        run = world.keyed.options(id=id_in(0), key=key_in(1)).delay(1)
    copied_without_end(source, other)
    copied(other, source)
    (batch,) = source.tree_batches()
    key = f"task/{KEY}/{key_in(1)}"
    source.let_trees_go(batch.id, [])
    assert source.holders([key]) == {key: run.id}
    copied(source, other)
    assert (source.holders([key]), other.holders([key])) == ({}, {key: run.id})


def test_a_run_of_the_same_names_keeps_its_key_when_a_copy_is_ended(
    opened: Open, other: Broker
) -> None:
    source: Any = opened()
    world = TreeWorld()
    world.declare(source)
    with using(source):
        run = world.keyed.options(id=id_in(0), key=key_in(1)).delay(1)
        copied_without_end(source, other)
        world.keyed.options(id=id_in(0), key=key_in(1)).delay(1)
    key = f"task/{KEY}/{key_in(1)}"
    copied(source, other)
    assert source.holders([key]) == other.holders([key]) == {key: run.id}


def test_a_batch_is_known_after_the_number_of_files_has_changed(
    opened: Open, other: Broker, taskflow_clock: ManualClock
) -> None:
    target: Any = opened()
    world = TreeWorld()
    found = world.fill(other)
    was = kept_by(other)
    copied_without_end(other, target)
    target.resharding.run(3)
    copied(other, target)
    assert kept_by(target) == was
    assert other.tree_batches() == []  # type: ignore[attr-defined]
    world.finish(target, found)
    for one in found.values():
        Result[Any](one.id, broker=target).forget()


def test_who_ends_a_batch_that_is_being_handed_out_file_by_file_loses_none_of_it(
    opened: Open, other: Broker
) -> None:
    """A second copy of the same comes when the runs of one file have left, and those of the other
    have not."""
    source: Any = opened()
    world = TreeWorld()
    world.declare(source)
    copied(source, other)
    to = other.records("broker", ["id"])["id"].value
    with using(source):
        runs = [world.add.options(id=id_in(n % 2, f"run{n}")).delay(n) for n in range(6)]
    first, second = (shard.broker for shard in source.shards)
    for one in (first, second):
        ends_meanwhile(one, lambda: Copy(source, other).trees.go_on(to))
    copied(source, other)
    copied(source, other)
    assert (source.count_records("run"), source.tree_batches()) == ({}, [])
    world.work(other)
    assert [Result[int](run.id, broker=other).get(0) for run in runs] == list(range(1, 7))
    assert {world.effects[f"add {n}"] for n in range(6)} == {1}


def ends_meanwhile(broker: Any, work: Callable[[], None]) -> None:
    """Somebody does this once, when the first trees have left this file."""
    hand_out = broker.hand_out_trees

    def then(*given: Any) -> Any:
        broker.hand_out_trees = hand_out
        answer = hand_out(*given)
        work()
        return answer

    broker.hand_out_trees = then


def test_what_came_back_keeps_its_steps_in_other_files_when_its_copy_is_ended(
    opened: Open, other: Broker
) -> None:
    """Who was to end it had removed them, died, and is repeated after that."""
    source: Any = opened()
    world = TreeWorld()
    world.declare(source)
    of_id = source.course.placement.of_id
    ids = (f"order-{n}" for n in range(100))
    with using(source):
        elsewhere = next(id for id in ids if of_id(id) != of_id(f"{id}/effect"))
        run = world.flow.options(id=elsewhere).delay("c")
    world.work(source)
    was = kept_by(source)
    home = source.shards[of_id(run.id)].broker
    let_go, home.let_trees_go = home.let_trees_go, lambda *_: []
    copied(source, other)
    (batch,) = source.tree_batches()
    copied(other, source)
    home.let_trees_go = let_go
    assert kept_by(source) == was
    assert source.let_trees_go(batch.id, []) == []
    assert kept_by(source) == was
    assert source.tree_batches() == []
