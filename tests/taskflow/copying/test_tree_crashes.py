"""A copy of runs dies at each call of either broker: once repeated, each is at one of them, and has
gone on where it was."""

from contextlib import suppress
from itertools import count
from typing import Any

import pytest

from taskflow import Broker, Result
from taskflow.brokers.copying import copy as copying
from taskflow.brokers.copying import tree_copy
from taskflow.brokers.copying.copy import Copy
from taskflow.tasks.run_trees import RunTrees
from taskflow.testing import ManualClock
from tests.taskflow.copying.conftest import Open
from tests.taskflow.copying.test_copy_crashes import READS, Died, Life, Mortal
from tests.taskflow.copying.tree_world import TreeWorld, kept_by

MORE_READS = (*READS, "holders", "tree_batches", "hand_trees_again", "list_records")
pytestmark = pytest.mark.slow


class MortalBroker(Mortal):
    """As `Mortal`; and a broker that hands over trees."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name) if name in MORE_READS else super().__getattr__(name)


class World:
    """Two brokers, of which one has runs."""

    def __init__(self, opened: Open, way: str) -> None:
        source, _, target = way.partition(">")
        self.source, self.target = opened(source), opened(target)
        self.tasks = TreeWorld()
        self.found = self.tasks.fill(self.source)
        self.was = kept_by(self.source)

    def copy(self, at: int = 0) -> Life:
        """Copy, and perhaps die."""
        life = Life(at)
        source: Any = MortalBroker(self.source, life)
        target: Any = MortalBroker(self.target, life)
        with suppress(Died):
            Copy(source, target, trees=[RunTrees()]).run()
        return life

    def places(self) -> list[set[str]]:
        """Which runs each broker has."""
        return [set(load_all(one)) for one in (self.source, self.target)]


def load_all(broker: Broker) -> list[str]:
    """The ids of all runs."""
    records, _, _ = kept_by(broker)
    return [one.key for one in records["run"]]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_copy, "BATCH", 9)
    monkeypatch.setattr(copying, "BATCH", 4)


WAYS = pytest.mark.parametrize("way", ["memory>memory", "2 files>memory", "memory>2 files"])


@WAYS
def test_a_copy_that_died_anywhere_is_whole_once_it_is_repeated(
    opened: Open, clock: ManualClock, way: str
) -> None:
    for at in count(1):
        world = World(opened, way)
        if not world.copy(at).dead:
            break
        here, there = world.places()
        assert not here & there, at
        world.copy()
        here, there = world.places()
        assert (here, len(there)) == (set(), len(world.was[0]["run"])), at
        assert kept_by(world.target) == world.was, at
        assert world.source.tree_batches() == []  # type: ignore[attr-defined]
    assert at > 12, "calls that write"


@WAYS
def test_what_both_brokers_workers_do_meanwhile_is_done_once(
    opened: Open, clock: ManualClock, way: str
) -> None:
    """Whatever has gone on at TO when the copy is repeated stays gone on, and ended."""
    for at in count(1):
        world = World(opened, way)
        if not world.copy(at).dead:
            break
        if "sums" in world.target.queues():
            world.tasks.declare(world.target)
            world.tasks.work(world.target)
        world.source.pause("lined.fifo", paused=False)
        world.tasks.work(world.source)
        world.copy()
        assert not any(world.places()[0]), at
        world.tasks.finish(world.target, world.found)
    assert at > 12


@pytest.mark.parametrize(
    "way",
    ["memory>memory", "memory>taskflow", "taskflow>other", "2 files>memory", "memory>2 files"],
)
def test_a_batch_that_is_taken_in_again_revives_nothing(
    opened: Open, clock: ManualClock, way: str
) -> None:
    """All of it has ended at TO, and is forgotten, when the one who died comes back."""
    world = World(opened, way)
    let_go, calls = world.source.let_trees_go, list[Any]()  # type: ignore[attr-defined]

    def dies(*given: Any) -> list[str]:
        calls.append(given)
        return []

    world.source.let_trees_go = dies  # type: ignore[attr-defined]
    world.copy()
    world.source.let_trees_go = let_go  # type: ignore[attr-defined]
    world.tasks.finish(world.target, world.found)
    for one in world.found.values():
        Result[Any](one.id, broker=world.target).forget()
    assert calls
    assert len(world.source.tree_batches()) == len(calls)  # type: ignore[attr-defined]
    clock.advance(30 * 86400)
    world.copy()
    assert not any(world.places()[0] | world.places()[1])
    assert world.source.tree_batches() == []  # type: ignore[attr-defined]
