"""Taking back the trees that were on their way to a broker that is gone."""

from typing import Any

import pytest

from taskflow import Broker
from taskflow.brokers.copying.copy import Copy
from taskflow.brokers.copying.giving_up import GivenUp, OnTheWay, give_up, on_the_way
from taskflow.errors import ConfigError
from taskflow.publisher import using
from taskflow.tasks.run_trees import RunTrees
from tests.taskflow.copying.conftest import Open, Pair
from tests.taskflow.copying.tree_world import TreeWorld, kept_by


class GoneError(Exception):
    """The broker does not answer."""


def copy_until_gone(source: Broker, target: Broker, *, arrives: bool = False) -> str:
    """A copy whose TO is gone when it is to take in trees, or has just done it; answers its id."""
    copy = Copy(source, target, trees=[RunTrees()])
    took: Any = copy.trees._in

    class Gone:
        def __getattr__(self, name: str) -> Any:
            return getattr(took, name)

        def take_in_trees(self, batch: str, trees: Any) -> list[str]:
            if arrives:
                took.take_in_trees(batch, trees)
            raise GoneError

    copy.trees._in = Gone()  # type: ignore[assignment]
    with pytest.raises(GoneError):
        copy.run()
    return target.records("broker", ["id"])["id"].value


def test_what_is_on_its_way_is_in_use_again_as_it_was(pair: Pair) -> None:
    source, target = pair
    world = TreeWorld()
    world.fill(source)
    was = kept_by(source)
    to = copy_until_gone(source, target)
    assert kept_by(source) != was
    (there,) = on_the_way(source)
    assert (there.to, there.trees > 0, there.batches > 0) == (to, True, True)
    assert give_up(source, "another broker") == GivenUp(0, [])
    assert on_the_way(source) == [there]
    assert give_up(source, to) == GivenUp(there.trees, [])
    assert kept_by(source) == was
    assert on_the_way(source) == []
    assert give_up(source, to) == GivenUp(0, []), "again does nothing"


def test_a_copy_to_a_third_broker_goes_after_it(opened: Open) -> None:
    source, gone, third = (opened("memory") for _ in range(3))
    world = TreeWorld()
    world.declare(source)
    with using(source):
        run = world.add.delay(1)
    to = copy_until_gone(source, gone)
    with pytest.raises(ConfigError, match="--give-up"):
        Copy(source, third, trees=[RunTrees()]).run()
    give_up(source, to)
    copy = Copy(source, third, trees=[RunTrees()])
    copy.run()
    assert third.records("run", [run.id])
    assert not source.records("run", [run.id])


def test_what_was_made_here_meanwhile_is_not_overwritten(opened: Open) -> None:
    source, target = opened("memory"), opened("memory")
    world = TreeWorld()
    world.declare(source)
    with using(source):
        world.add.options(id="mine").delay(1)
        to = copy_until_gone(source, target)
        world.add.options(id="mine").delay(2)
        assert give_up(source, to) == GivenUp(0, ["mine"])
        assert on_the_way(source) == [OnTheWay(to, 1, 1)]
        assert len(source.peek("sums")) == 1


def test_what_had_arrived_is_at_both_and_a_repeated_copy_says_so(opened: Open) -> None:
    source, target = opened("memory"), opened("memory")
    world = TreeWorld()
    world.declare(source)
    with using(source):
        run = world.add.delay(1)
    to = copy_until_gone(source, target, arrives=True)
    assert give_up(source, to).back == 1
    copy = Copy(source, target, trees=[RunTrees()])
    copy.run()
    (tally,) = copy.trees.tallies
    assert (tally.moved, tally.taken) == (0, 1)
    assert source.records("run", [run.id])
