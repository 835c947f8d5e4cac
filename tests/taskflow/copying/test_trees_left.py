"""`Copy` of runs: which stay where they are, and are said."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from taskflow import Broker, Result, Worker, schedules
from taskflow.broker.change import Add, Change, Put, Remove, Take
from taskflow.broker.record import RecordQuery
from taskflow.brokers.copying import trees
from taskflow.brokers.copying.copy import Copy
from taskflow.brokers.copying.tree_tally import TreeTally
from taskflow.errors import ConfigError, NoResult
from taskflow.message import Message
from taskflow.publisher import using
from taskflow.tasks.canvas.early_rows import EARLY
from taskflow.tasks.canvas.following import SWEEP
from taskflow.tasks.preparing import key_of
from taskflow.tasks.run_trees import RunTrees
from taskflow.testing import ManualClock
from taskflow.workflows.run_forking import fork_run
from taskflow.workflows.signals import send_signal
from tests.taskflow.copying.conftest import Open, Pair
from tests.taskflow.copying.tree_world import KEY, TreeWorld, copied, kept_by


def test_a_tree_of_which_anything_is_in_flight_stays_whole(
    pair: Pair,
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


def test_what_the_other_broker_has_already_stays_and_is_said(
    pair: Pair,
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


def test_a_tree_that_is_too_large_is_left_whole(
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


def signal(world: TreeWorld, source: Broker, run: str) -> None:
    assert send_signal(source, run, "go", 1)


def add_part(world: TreeWorld, source: Broker, run: str) -> None:
    """As nobody does without the message of the run."""
    source.apply([Change(records=[Put(kind="step", key=f"{run}/new", value="{}", parent=run)])])


def count(world: TreeWorld, source: Broker, run: str) -> None:
    source.apply([Change(counters=[Add("run", run, 1)])])


def cancel(world: TreeWorld, source: Broker, run: str) -> None:
    assert Result(run, broker=source).cancel()


@pytest.mark.parametrize("way", ["memory>memory", "taskflow>other", "2 files>memory"])
@pytest.mark.parametrize("change", [signal, add_part, count, cancel])
def test_what_changes_between_the_look_and_the_taking_stays(
    opened: Open, change: Callable[[TreeWorld, Broker, str], None], way: str
) -> None:
    source, target = (opened(name) for name in way.split(">"))
    world = TreeWorld()
    world.declare(source)
    with using(source):
        run = world.flow.delay("a")
    world.work(source)
    hand_out = source.hand_out_trees  # type: ignore[attr-defined]

    def late(*given: Any) -> Any:
        change(world, source, run.id)
        return hand_out(*given)

    source.hand_out_trees = late  # type: ignore[attr-defined]
    assert copied(source, target)["tests.flow"] == TreeTally("tests.flow", in_flight=1)
    assert target.records("run", [run.id]) == {}
    source.hand_out_trees = hand_out  # type: ignore[attr-defined]
    assert copied(source, target)["tests.flow"] == TreeTally("tests.flow", moved=1)
    assert source.records("run", [run.id]) == {}


def test_a_plan_that_is_being_stored_stays(opened: Open, clock: ManualClock) -> None:
    source, target = opened("memory"), opened("memory")
    world = TreeWorld()
    world.declare(source)
    with using(source):
        plan = world.add.map([1, 2]).delay()
    early = Put(kind=SWEEP, key=plan.id, value=EARLY, due_at=clock.now() + 60)
    source.apply([Change(records=[early])])
    assert copied(source, target)["group"] == TreeTally("group", in_flight=1)
    source.apply([Change(records=[Remove(SWEEP, plan.id)])])
    assert copied(source, target)["group"] == TreeTally("group", moved=1)


def test_what_the_other_broker_would_refuse_keeps_its_place_in_its_group(opened: Open) -> None:
    source, target = opened("memory"), opened("memory")
    world = TreeWorld()
    for one in (source, target):
        world.declare(one)
        with using(one):
            world.lined.options(id="same", group="g").delay(0)
    behind = Message("behind", "x", group="g", deduplication_id="behind")
    source.send("lined.fifo", [behind])
    assert copied(source, target)["tests.lined"] == TreeTally("tests.lined", taken=1)
    assert [one.id for one in source.peek("lined.fifo")] == ["same", "behind"]


def test_no_fork_begins_anew_since_its_steps_left_while_they_were_read(opened: Open) -> None:
    source, target = opened("memory"), opened("memory")
    world = TreeWorld()
    found = world.fill(source)
    list_records = source.list_records

    def late(query: RecordQuery) -> Any:
        source.list_records = list_records  # type: ignore[method-assign]
        copied(source, target)
        return list_records(query)

    source.list_records = late  # type: ignore[method-assign]
    with pytest.raises(NoResult, match="there is no run"):
        fork_run(source, found["asleep"].id)
    assert source.count_records("run") == {}
    assert Result[Any](fork_run(target, found["asleep"].id), broker=target).state == "waiting"
    world.work(target)
    assert world.effects["b first"] == 1


def test_a_copy_ends_though_others_go_on_sending(opened: Open) -> None:
    """A run of a FIFO queue stays for good, and each look finds new messages and runs."""
    source, target = opened("memory"), opened("memory")
    world = TreeWorld()
    for one in (source, target):
        world.declare(one)
        with using(one):
            world.lined.options(id="same", group="g").delay(0)
    find, looks = source.list_records, itertools.count()

    def busy(query: RecordQuery) -> Any:
        look = next(looks)
        assert look < 1000
        with using(source):
            world.add.delay(1)
        plain = Message(f"m{look}", "x", group="h", deduplication_id=str(look))
        source.send("lined.fifo", [plain])
        return find(query)

    source.list_records = busy  # type: ignore[method-assign]
    tallies = copied(source, target)
    assert tallies["tests.lined"] == TreeTally("tests.lined", taken=1)
    assert tallies["tests.add"].moved > 0
