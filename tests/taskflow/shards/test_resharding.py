"""Another number of files: all that lay in them is there once, under the same ids, whoever dies."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest

from taskflow import open_broker
from taskflow.broker import Finish, QueueSettings
from taskflow.broker.change import Add, Change, Hide, Put, Send, Take
from taskflow.broker.record import RecordQuery
from taskflow.broker.settings import Holding, Limit
from taskflow.brokers.sharded import reshard
from taskflow.brokers.sharded.broker import ShardedBroker
from taskflow.brokers.sharded.receipts import Receipts
from taskflow.brokers.sharded.reshard import goal_of
from taskflow.brokers.sharded.shard_map import even_map, owners_of, read_map
from taskflow.message import Delivery, Message, new_id
from taskflow.placing import place_of
from taskflow.stores.sqlite.place_conditions import FINISHED, INDEXES, MESSAGES, RECORD, given
from taskflow.testing import ManualClock
from tests.taskflow.shards.dying import Died

COUNT = 60
IDS = [f"n-{number}" for number in range(COUNT)]
KEYS = [f"key-{number}" for number in range(20)]

Open = Callable[..., ShardedBroker]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """These few rows are as many."""
    monkeypatch.setattr(reshard, "INDEXED_FROM", 100)


@pytest.fixture
def opening(tmp_path: Path, taskflow_clock: ManualClock) -> Iterator[Open]:
    """Open the broker; a new one over so many files."""
    brokers: list[ShardedBroker] = []

    def opening(shards: int | None = None) -> ShardedBroker:
        more = "" if shards is None else f"&shards={shards}"
        address = f"sqlite:///{tmp_path}/broker.db?durability=process{more}"
        broker = cast(ShardedBroker, open_broker(address, clock=taskflow_clock))
        brokers.append(broker)
        return broker

    yield opening
    for broker in brokers:
        broker.close()


def fill(broker: ShardedBroker) -> list[Delivery]:
    """Everything that a file may hold; answers what is lent of it."""
    for queue in ("second", "work-dlq", "work", "limited", "done", "work.fifo"):
        broker.create_queue(queue)
    broker.create_queue("bad", QueueSettings(dead_letter_queue="work-dlq", max_receives=3))
    broker.send("bad", [Message(id, "x") for id in IDS[:20]])
    while bad := broker.receive("bad", limit=10):
        broker.dead_letter([(one, '{"error": {"type": "ValueError"}}') for one in bad])
    broker.create_topic("made")
    broker.subscribe("made", "work")
    broker.subscribe("made", "second")
    broker.publish("made", [Message(id, f"body {id}") for id in IDS])
    broker.send("work.fifo", [Message(id, "x", group="g", deduplication_id=id) for id in IDS[:5]])
    broker.send("limited", [Message(id, "x", slot="one") for id in IDS[:4]])
    broker.send("done", [Message(id, "x") for id in IDS])
    done = broker.receive("done", limit=10)
    done += broker.receive("done", limit=10)
    broker.delete([Finish(one, remember=1000.0) for one in done])
    broker.take("bucket", 1.0, 1.0)
    for id, key in zip(IDS, KEYS, strict=False):
        change = Change(
            id=f"change-{id}",
            keys=[Take(key, id)],
            records=[Put(kind="run", key=id, value=id, parent="p", state="waiting", due_at=9.0)],
            counters=[],
        )
        broker.apply([change])[0].or_raise()
        broker.apply([Change(counters=[Add("run", id, 3)])])
    held = broker.receive("limited", limit=4, holding=Holding(limits={"one": Limit(2)}))
    return [*broker.receive("work", limit=10), *held]


def seen(broker: ShardedBroker) -> dict[str, Any]:
    """All that can be asked, but for receipts."""
    queues = {}
    for queue in broker.queues():
        counts = broker.counts(queue)
        queues[queue] = (
            sorted((one.id, one.topic, one.body, one.sent_at) for one in broker.peek(queue, 1000)),
            (counts.visible, counts.in_flight, counts.delayed, counts.handled),
        )
    records = broker.records("run", IDS)
    return {
        "queues": queues,
        "records": {key: (one.value, one.version, one.count) for key, one in records.items()},
        "listed": len(broker.list_records(RecordQuery(kind="run", states=("waiting",))).records),
        "keys": broker.holders(KEYS),
        "finished": broker.finished("done", {(id, "") for id in IDS}),
        "causes": [(one.id, one.count, sum(one.trend)) for one in broker.causes()],
        "tokens": broker.take("bucket", 1.0),
    }


def whole(broker: ShardedBroker, files: int) -> None:
    """Each thing lies in the file of its place, and in no other."""
    maps = [shard.store.look(read_map) for shard in broker.shards]
    assert len(maps) == files
    owners = owners_of(cast(Any, maps[0]))
    assert {owners.count(number) for number in range(files)} <= {1024 // files, 1024 // files + 1}
    assert len({(one.epoch, one.owners, one.leaving) for one in maps if one}) == 1
    for shard in broker.shards:
        for queue in ("work", "second", "done"):
            for one in shard.broker.peek(queue, 1000):
                assert place(broker, one.id) == shard.number


def indexes(broker: ShardedBroker) -> set[str]:
    """Those of all files by which places are found."""
    found = set[str]()
    for shard in broker.shards:
        names = shard.store.look(
            lambda rows: list(cast(Any, rows)._execute("SELECT name FROM sqlite_schema"))
        )
        found |= {name for (name,) in names if name in INDEXES}
    return found


def place(broker: ShardedBroker, id: str) -> int:
    return owners_of(broker.course.map)[place_of(id)]


@pytest.mark.parametrize(("before", "after"), [(1, 4), (2, 3), (4, 1), (8, 3)])
def test_all_is_there_once_and_others_go_on(opening: Open, before: int, after: int) -> None:
    broker, other, late = opening(before), opening(), opening()
    lent = fill(broker)
    was = seen(broker)
    broker.resharding.run(after)
    whole(broker, after)
    assert seen(broker) == was == seen(opening())
    assert seen(other) == was
    # what was lent is settled by its receipt, wherever it lies now, by whoever has it
    assert late.leases(lent) == ["held"] * len(lent)
    assert late.extend([(one, 60.0) for one in lent[:3]]) == [True] * 3
    assert late.delete([Finish(one) for one in lent[:2]]) == [True, True]
    made = other.apply([Change(fence=lent[2], settlements=[Hide(lent[2], 0.0)])])
    assert made[0].or_raise().settled == [True]
    assert other.give_back(lent[3:]) == [True] * len(lent[3:])
    assert late.delete([Finish(one) for one in lent[:2]]) == [False, False]
    # ids are known again
    waiting = sorted({*IDS} - {one.id for one in lent[:2]})
    for again in (broker, other, late):
        again.publish("made", [Message(id, "again") for id in waiting])
        again.send("work.fifo", [Message("new", "x", group="g", deduplication_id=IDS[0])])
        change = Change(id=f"change-{IDS[0]}", sends=[Send("work", [Message("never", "x")])])
        again.apply([change])[0].or_raise()
        assert again.counts("work").visible + again.counts("work").in_flight <= COUNT
        assert again.counts("work.fifo").visible == 5
    rest = [one.id for _ in range(20) for one in late.receive("work", limit=10)]
    assert sorted(rest) == waiting
    whole(broker, after)


def test_who_slept_meanwhile_finds_other_files_of_the_same_names(opening: Open) -> None:
    broker, other = opening(3), opening()
    fill(broker)
    was = seen(broker)
    broker.resharding.run(1)
    broker.resharding.run(3)
    other.send("done", [Message("more", "x")])
    assert other.purge("done", ["more"]) == 1
    assert seen(other) == was
    whole(other, 3)


def test_what_is_lent_is_settled_by_its_receipt_when_it_is_back_where_it_was(
    opening: Open,
) -> None:
    broker, other = opening(2), opening()
    broker.create_queue("work")
    broker.send("work", [Message(f"{number}", "x") for number in range(30)])
    lent = [one for _ in range(3) for one in broker.receive("work", limit=10)]
    for files in (1, 2, 3, 1, 4, 2):
        broker.resharding.run(files)
        assert other.leases(lent) == ["held"] * 30
        assert all(other.extend([(one, 60.0) for one in lent]))
    assert other.delete([Finish(one) for one in lent]) == [True] * 30


def test_a_receipt_that_leads_back_to_itself_ends() -> None:
    receipts = Receipts()
    receipts.follow(2, 2, {"0/1.2": "1/1.2", "1/1.2": "0/1.2"})
    assert receipts.file_of("0/1.2") == 0


@pytest.mark.parametrize("indexed_from", [1, 1_000_000])
def test_a_large_file_is_indexed_by_places_while_it_gives_some_up(
    opening: Open, monkeypatch: pytest.MonkeyPatch, indexed_from: int
) -> None:
    """Others who write meanwhile keep the indexes, and what is found by them is the same."""
    monkeypatch.setattr(reshard, "INDEXED_FROM", indexed_from)
    monkeypatch.setattr(reshard, "MOST_MESSAGES", 20)
    broker, other = opening(1), opening()
    fill(broker)
    made = [new_id(other.clock.now() + at, other.random) for at in range(60)]
    seen_indexes, at = set[str](), 0

    def tell(_: Any) -> None:
        nonlocal at
        seen_indexes.update(indexes(broker))
        for id in made[at : at + 5]:
            other.send("done", [Message(id, "x"), Message(f"{id}.child", "x")])
            put = Put(kind="run", key=f"{id}.step", value=id)
            other.apply([Change(records=[put], keys=[Take(id, "me")])])[0].or_raise()
        for held in other.receive("done", limit=3):
            other.delete([Finish(held, remember=1000.0)])
            deleted.add(held.id)
        at += 5

    deleted = set[str]()
    broker.resharding.run(3, tell)
    assert seen_indexes == ({*INDEXES} if indexed_from == 1 else set())
    assert indexes(broker) == set()
    whole(broker, 3)
    sent = {id for one in made[:at] for id in (one, f"{one}.child")}
    held = [one.id for one in broker.peek("done", 1000)]
    assert len(held) == len({*held})
    assert (sent - deleted) <= {*held}
    assert broker.records("run", [f"{id}.step" for id in made[:at]]).keys() == {
        f"{id}.step" for id in made[:at]
    }
    for shard in broker.shards:
        for record in shard.broker.list_records(RecordQuery(kind="run", limit=1000)).records:
            assert place(broker, record.key) == shard.number


def test_rows_that_leave_are_found_by_the_indexes(opening: Open) -> None:
    """Not by a look at all rows, which each step would pay for."""
    store = opening(1).shards[0].store

    def plans(rows: Any) -> list[str]:
        rows.placed.counts()  # it knows our functions from here on
        for name in INDEXES:
            rows.placed.index(name)
        found = []
        for sql in (
            f"SELECT m.seq FROM {MESSAGES}",
            f"SELECT f.id FROM {FINISHED}",
            f"DELETE FROM record WHERE {RECORD}",
        ):
            for *_, text in rows._execute(f"EXPLAIN QUERY PLAN {sql}", given([1], ["kept"])):
                found.append(text)
        return found

    said = store.transact(plans)
    for name in INDEXES:
        assert any(text.partition(" (")[0].endswith(f"INDEX {name}") for text in said), name
    scans = [one for one in said if one.startswith("SCAN") and "leaving_" not in one]
    assert {one.split()[1] for one in scans} <= {"json_each", "queue"}


def test_fifo_lies_in_the_file_that_leads_whatever_its_scope(opening: Open) -> None:
    """So that order, numbers and deduplication hold although a scope is changed while messages
    wait, or a queue is tied to another."""
    broker = opening(3)
    by_group = QueueSettings(
        deduplication_scope="messageGroup", throughput_limit="perMessageGroupId"
    )
    broker.create_queue("lanes.fifo", by_group)

    def send() -> list[str]:
        messages = [Message(f"{id}-{at}", "x", group=id, deduplication_id=str(at))
                    for at in range(3) for id in IDS[:20]]  # fmt: skip
        return [one.id for one in broker.send("lanes.fifo", messages)]

    sent = send()
    for files in (3, 5, 1, 2):
        broker.resharding.run(files)
        assert len(broker.shards[0].broker.peek("lanes.fifo", 100)) == 60
        assert send() == sent, "each is a duplicate, in its group"
    broker.set_queue("lanes.fifo", QueueSettings())
    ordered: dict[str, list[str]] = {}
    while some := broker.receive("lanes.fifo", limit=10):
        broker.delete([Finish(one) for one in some])
        for one in some:
            ordered.setdefault(one.group or "", []).append(one.id)
    assert ordered == {id: [f"{id}-{at}" for at in range(3)] for id in IDS[:20]}


def test_shares_move_no_more_than_they_must() -> None:
    for before, after in ((1, 8), (8, 9), (9, 8), (8, 1), (3, 64)):
        owners = owners_of(even_map("x", before))
        goal = goal_of(owners, after)
        assert goal[0] == 0, "FIFO stays with the leader"
        assert {goal.count(number) for number in range(after)} <= {1024 // after, -(-1024 // after)}
        moved = sum(one != other for one, other in zip(owners, goal, strict=True))
        assert moved <= 1024 * abs(after - before) // max(after, before) + max(after, before)
        assert goal_of(goal, after) == goal


def dying_at(broker: ShardedBroker, commit: int) -> Callable[[], bool]:
    """Whoever uses this broker dies just before its so-many-th commit; answers whether it did."""
    left, dead = commit, False

    def wrap(store: Any) -> None:
        transact = store.transact

        def dies(work: Callable[[Any], Any], **options: Any) -> Any:
            def work_and_die(rows: Any) -> Any:
                nonlocal left, dead
                answer = work(rows)
                if store._writing.depth == 1:
                    left -= 1
                    if left < 0:
                        dead = True
                        raise Died
                return answer

            return transact(work_and_die, **options)

        store.transact = dies

    make = broker.course._make

    def make_and_wrap(number: int, store: Any) -> Any:
        wrap(store)
        return make(number, store)

    broker.course._make = make_and_wrap
    for shard in broker.shards:
        wrap(shard.store)
    return lambda: dead


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (1, 2),
        pytest.param(2, 3, marks=pytest.mark.slow),
        pytest.param(3, 1, marks=pytest.mark.slow),
    ],
)
def test_whoever_dies_at_it_leaves_one_owner_and_it_is_ended(
    tmp_path: Path, taskflow_clock: ManualClock, before: int, after: int
) -> None:
    """At every commit of all."""

    def opened(folder: Path, more: str = "") -> ShardedBroker:
        address = f"sqlite:///{folder}/broker.db?durability=process{more}"
        return cast(ShardedBroker, open_broker(address, clock=taskflow_clock))

    first = opened(tmp_path, f"&shards={before}")
    lent, was = fill(first), seen(first)
    first.close()
    for commit in range(1000):
        folder = tmp_path / str(commit)
        folder.mkdir()
        for file in tmp_path.glob("broker.db*"):
            if file.is_file():
                shutil.copy(file, folder)
        broker, doomed = opened(folder), opened(folder)
        died = dying_at(doomed, commit)
        with suppress(Died):
            doomed.resharding.run(after)
        if commit % 2:  # somebody who had it open comes to it; else the command is repeated at once
            assert seen(broker) == was
            broker.send("done", [Message("more", "x")])
        again = opened(folder)
        again.resharding.run(after)
        whole(again, after)
        assert len(list(folder.glob("broker.db.shard?"))) == after - 1
        if commit % 2:
            assert again.purge("done", ["more"]) == 1
        assert seen(again) == was
        assert again.delete([Finish(one) for one in lent]) == [True] * len(lent)
        ended = not died()
        for one in (broker, again, doomed):
            with suppress(Died):  # the leader is locked for it
                one.close()
        if ended:
            assert commit > 5
            return
    raise AssertionError("unreachable")
