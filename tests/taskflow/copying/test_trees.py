"""`Copy` of runs: each is at the other broker afterwards as it was, with all that hangs on it."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from taskflow import Result, Run, Worker, schedules, workflow
from taskflow.broker.change import Change, Put
from taskflow.broker.record import RecordQuery
from taskflow.brokers.copying import tree_copy
from taskflow.brokers.copying.tree_tally import TreeTally
from taskflow.message import Message
from taskflow.publisher import using
from taskflow.tasks.canvas.following import LIFE, SWEEP
from taskflow.tasks.preparing import run_message
from taskflow.tasks.progress import PROGRESS
from taskflow.tasks.run import load
from taskflow.testing import ManualClock
from taskflow.workflows.signals import send_signal
from tests.taskflow.copying.conftest import Open, Pair
from tests.taskflow.copying.tree_world import KEY, TreeWorld, copied, kept_by


def test_runs_are_there_as_they_were_and_end_as_they_should(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
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


def test_a_kept_result_goes_when_its_time_is_over(pair: Pair, clock: ManualClock) -> None:
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


@pytest.mark.parametrize("way", ["memory>memory", "taskflow>other"])
def test_what_is_kept_under_other_names_goes_along(
    opened: Open, clock: ManualClock, way: str
) -> None:
    """Progress, of the root and of descendants, and what lets the steps of an earlier life go."""
    source, target = (opened(name) for name in way.split(">"))
    world = TreeWorld()

    @workflow(registry=world.registry, name="tests.anew", queue="flows")
    def anew(first: bool, ctx: Run) -> None:
        ctx.step(world.effect, f"anew {first}")
        if first:
            ctx.restart(False)
        ctx.wait("go")

    world.declare(source)
    with using(source):
        run, plan = anew.delay(True), world.add.map([1, 2]).delay()
    world.work(source)
    later = clock.now() + 60
    source.apply(
        [
            Change(
                records=[
                    Put(kind=SWEEP, key=run.id + LIFE, value="{}", due_at=later),
                    *(
                        Put(kind=PROGRESS, key=key, value='[1,2,""]', expires_at=later)
                        for key in (run.id, plan.id, f"{plan.id}.0")
                    ),
                ]
            )
        ]
    )
    was = kept_by(source)
    assert (len(was[0]["sweep"]), len(was[0]["progress"])) == (2, 3), "and that of the plan"
    copied(source, target)
    assert kept_by(target) == was
    assert not any(kept_by(source)[0].values())


def test_messages_of_earlier_generations_and_the_next_go_along(opened: Open) -> None:
    source, target = opened("memory"), opened("memory")
    world = TreeWorld()
    world.declare(source)
    with using(source):
        run = world.flow.delay("a")
    world.work(source)
    row = load(source, [run.id])[run.id]
    now = row.run.generation
    for generation in (1, now, now + 1):
        kept = msgspec.structs.replace(row.run, generation=generation)
        source.send("flows", [run_message(run.id, kept, 0.0, source.max_message_bytes)])
    was = kept_by(source)
    assert now > 1
    copied(source, target)
    assert kept_by(target) == was
    assert source.peek("flows") == []


def test_no_batch_holds_more_than_so_many_characters(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = opened("memory"), opened("memory")
    world = TreeWorld()
    world.declare(source)
    with using(source):
        for n in range(6):
            world.add.delay(n)
    take_in, sizes = target.take_in_trees, list[int]()  # type: ignore[attr-defined]

    def told(batch: str, some: Any) -> Any:
        sizes.append(len(some))
        return take_in(batch, some)

    target.take_in_trees = told  # type: ignore[attr-defined]
    text = len(source.list_records(RecordQuery(kind="run")).records[0].value)
    monkeypatch.setattr(tree_copy, "BATCH_TEXT", 2 * text)
    assert copied(source, target)["tests.add"].moved == 6
    assert sizes == [2, 2, 2]


def test_a_dead_letter_goes_along_that_lies_in_a_former_queue_for_such(pair: Pair) -> None:
    source, target = pair
    world = TreeWorld()
    world.declare(source)
    with using(source):
        failed = world.fails.delay()
    world.work(source)
    source.create_queue("letters")
    source.set_queue("sums", replace(source.settings("sums"), dead_letter_queue="letters"))
    assert copied(source, target)["tests.fails"] == TreeTally("tests.fails", moved=1)
    assert source.peek("sums-dlq") == []
    assert [one.id for one in target.peek("sums-dlq")] == [failed.id]
    assert target.redrive("sums-dlq") == 1
    assert [one.id for one in target.peek("sums")] == [failed.id]
