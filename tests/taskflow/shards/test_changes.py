"""A change of several files is whole: seen by nobody in part, and after a death between two."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import NamedTuple

import pytest

from taskflow.broker import Finish
from taskflow.broker.change import (
    Add,
    Applied,
    Bury,
    Change,
    Free,
    GiveBack,
    Hide,
    Keep,
    Publish,
    Put,
    Remove,
    Send,
    Take,
)
from taskflow.broker.prompt import Outcome, WouldWait
from taskflow.broker.record import RecordQuery
from taskflow.broker.settings import Holding, Limit
from taskflow.brokers.sharded.broker import ShardedBroker
from taskflow.brokers.sharded.parcel import Noted, read_parcel, write_parcel
from taskflow.brokers.sharded.parcels import PARCEL
from taskflow.errors import KeyTaken, LimitExceeded, QueueNotFound, VersionConflict
from taskflow.message import Attribute, Delivery, Message
from taskflow.stores.rows import Rows
from tests.taskflow.shards.dying import PLACEMENT, dying_before_the_commit_of, id_in, key_in

Open = Callable[[], ShardedBroker]


def apply(broker: ShardedBroker, change: Change) -> Applied:
    (answer,) = broker.apply([change])
    return answer


def owed(broker: ShardedBroker) -> int:
    """How many parcels lie in the files."""
    query = RecordQuery(kind=PARCEL)
    return sum(len(shard.broker.list_records(query).records) for shard in broker.shards)


class Case(NamedTuple):
    """A change over both files, and whether all of it can be seen."""

    change: Change
    done: Callable[[ShardedBroker], list[bool]]


def sends(broker: ShardedBroker) -> Case:
    there, here = id_in(0), id_in(1)
    change = Change(
        records=[Put(kind="run", key=here, value="1", expected=0)],
        sends=[
            Send("work", [Message(there, "x", {"n": Attribute("Number", "1")})]),
            Publish("made", [Message(there, "y"), Message(here, "y")]),
        ],
    )

    def done(broker: ShardedBroker) -> list[bool]:
        held = {(one.id, one.topic) for one in broker.peek("work")}
        wanted = [(there, ""), (there, "made"), (here, "made")]
        return [here in broker.records("run", [here]), *(one in held for one in wanted)]

    return Case(change, done)


def settles(broker: ShardedBroker) -> Case:
    """As a task on a FIFO queue whose run lies elsewhere."""
    run = id_in(1)
    broker.apply([Change(records=[Put(kind="run", key=run, value="waits")])])
    broker.send("work.fifo", [Message(run, "x", group="g", deduplication_id=run)])
    (held,) = broker.receive("work.fifo")
    version = broker.records("run", [run])[run].version
    change = Change(
        fence=held,
        records=[Put(kind="run", key=run, value="done", expected=version)],
        settlements=[Finish(held, remember=100)],
    )

    def done(broker: ShardedBroker) -> list[bool]:
        acked = broker.counts("work.fifo").handled == 1
        finished = broker.finished("work.fifo", {(run, "")}) == {(run, "")}
        return [acked, finished, broker.records("run", [run])[run].value == "done"]

    return Case(change, done)


def counts_down(broker: ShardedBroker) -> Case:
    """The last of some to end wakes what waits in another file."""
    here, there = id_in(1), id_in(0)
    broker.apply([Change(records=[Put(kind="run", key=here, value="1")])])
    then: list[Put | Send] = [
        Send("work", [Message(there, "woken")]),
        Put(kind="run", key=there, value="2"),
    ]
    change = Change(counters=[Add("run", here, 1), Add("run", here, -1, then)])

    def done(broker: ShardedBroker) -> list[bool]:
        woken = [one.id for one in broker.peek("work")] == [there]
        return [woken, there in broker.records("run", [there])]

    return Case(change, done)


def keys(broker: ShardedBroker) -> Case:
    here, there = key_in(1), key_in(0)
    broker.apply([Change(keys=[Take(there, "before")])])
    change = Change(keys=[Free(there, "before"), Take(there, "me"), Take(here, "me")])
    return Case(change, lambda broker: [broker.holders([here, there]) == {here: "me", there: "me"}])


CASES = [sends, settles, counts_down, keys]


@pytest.mark.parametrize("make", CASES)
def test_it_is_made_whole_and_nothing_is_owed(
    broker: ShardedBroker, make: Callable[[ShardedBroker], Case]
) -> None:
    case = make(broker)
    assert not any(case.done(broker))
    apply(broker, case.change).or_raise()
    assert all(case.done(broker))
    assert owed(broker) == 0


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("make", CASES)
def test_who_dies_between_two_commits_is_made_up_for(
    broker: ShardedBroker, opened: Open, make: Callable[[ShardedBroker], Case], number: int
) -> None:
    case = make(broker)
    with dying_before_the_commit_of(broker, number):
        apply(broker, case.change)
    # The last file is committed first. Who died before that has done nothing.
    assert owed(broker) == (1 if number == 0 else 0)
    assert not all(case.done(broker))
    other = opened()  # whoever opens it next
    assert {*case.done(other)} == {number == 0}
    assert owed(other) == 0
    if number:
        apply(other, case.change).or_raise()
    assert all(case.done(other))


def test_upkeep_makes_up_for_it_too_and_once(broker: ShardedBroker, opened: Open) -> None:
    here, other = id_in(1), opened()
    with dying_before_the_commit_of(broker, 0):
        apply(broker, sends(broker).change)
    assert not broker.upkeep()
    (held,) = [one for one in broker.receive("work", limit=10) if one.topic == ""]
    broker.delete([Finish(held)])
    for each in (broker, other):  # what was done is not done again
        each.upkeep()
    assert [one.id for one in broker.peek("work") if one.topic == ""] == []
    assert here in other.records("run", [here])


def test_what_is_owed_is_done_even_if_it_was_done_already(
    broker: ShardedBroker, opened: Open
) -> None:
    """Somebody dies after all commits, before the parcel is taken away."""
    there = broker.shards[1].broker
    make = there.apply

    def make_all_but_the_last(changes: list[Change], durable: bool = True) -> list[Applied]:
        if any(isinstance(one, Remove) for change in changes for one in change.records):
            return []
        return make(changes, durable)

    there.apply = make_all_but_the_last  # type: ignore[assignment]
    apply(broker, sends(broker).change).or_raise()
    there.apply = make
    assert owed(broker) == 1
    broker.purge("work")
    other = opened()
    assert owed(other) == 0
    assert other.peek("work") == []


def test_what_is_owed_goes_before_what_comes_after(broker: ShardedBroker) -> None:
    here, there = id_in(1, "one"), id_in(0, "two")
    with dying_before_the_commit_of(broker, 0):
        apply(broker, Change(records=[_put(here, "1"), _put(there, "1")]))
    version = broker.records("run", [here])[here].version
    assert broker.records("run", [there]) == {}
    later = Change(records=[_put(here, "2", version), _put(there, "2", None)])
    apply(broker, later).or_raise()
    assert [one.value for one in broker.records("run", [here, there]).values()] == ["2", "2"]
    assert owed(broker) == 0


def _put(key: str, value: str, expected: int | None = 0) -> Put:
    return Put(kind="run", key=key, value=value, expected=expected)


def test_what_can_no_longer_be_done_is_told_and_holds_nobody_up(
    broker: ShardedBroker, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    here, there = id_in(1), id_in(0)
    with dying_before_the_commit_of(broker, 0):
        apply(broker, Change(records=[_put(here, "1"), _put(there, "1")]))
    assert apply(broker, Change(records=[_put(there, "mine")])).refused is None
    other = opened()
    assert "file 1 owed file 0 a change" in caplog.text
    assert other.records("run", [there])[there].value == "mine"
    assert owed(other) == 0


@pytest.mark.parametrize(
    ("spoiled", "error"),
    [
        (Change(records=[Put(kind="run", key=id_in(0), value="x", expected=7)]), VersionConflict),
        (Change(keys=[Take(key_in(0), "me")]), KeyTaken),
        (Change(sends=[Send("nowhere", [Message(id_in(0), "x")])]), QueueNotFound),
        (
            Change(sends=[Send("work", [Message(id_in(0), "x", delay=1e9)])]),
            LimitExceeded,
        ),
    ],
)
def test_a_part_that_is_refused_undoes_all(
    broker: ShardedBroker, spoiled: Change, error: type[Exception]
) -> None:
    broker.apply([Change(keys=[Take(key_in(0), "another")])])
    here = id_in(1)
    change = Change(
        keys=spoiled.keys,
        records=[Put(kind="run", key=here, value="1"), *spoiled.records],
        sends=[Send("work", [Message(here, "x")]), *spoiled.sends],
    )
    good = Change(records=[Put(kind="run", key=id_in(1, "other"), value="1")])
    refused, made = broker.apply([change, good])
    assert isinstance(refused.refused, error)
    assert made.refused is None
    assert broker.records("run", [here]) == {}
    assert broker.peek("work") == []
    assert owed(broker) == 0


def test_a_stale_fence_refuses_the_parts_of_other_files(broker: ShardedBroker) -> None:
    case = settles(broker)
    assert case.change.fence is not None
    broker.give_back([case.change.fence])
    assert apply(broker, case.change).refused is not None
    assert not any(case.done(broker))


def test_one_with_an_id_is_made_once_whatever_it_says(broker: ShardedBroker) -> None:
    first = Change(id="once", records=[_put(id_in(0), "1"), _put(id_in(1), "1")])
    answer = apply(broker, first).or_raise()
    other = Change(id="once", records=[_put(id_in(0, "o"), "1"), _put(id_in(1, "o"), "1")])
    again = apply(broker, other)
    assert (again.repeated, again.versions) == (True, answer.versions)
    assert broker.records("run", [id_in(0, "o"), id_in(1, "o")]) == {}


@pytest.mark.parametrize("home", [0, 1])
def test_one_with_an_id_is_made_once_though_its_maker_dies_between_two_commits(
    broker: ShardedBroker, opened: Open, home: int
) -> None:
    id = next(id for at in count() if PLACEMENT.of_text(id := f"change-{at}") == home)
    sent = [Send("work", [Message(id_in(0), "x"), Message(id_in(1), "x")])]
    change = Change(id=id, sends=sent, counters=[Add("run", id_in(1), 1)])
    broker.apply([Change(records=[_put(id_in(1), "1")])])
    with dying_before_the_commit_of(broker, 0):
        apply(broker, change)
    other = opened()
    handled = other.receive("work", limit=10)
    assert other.delete([Finish(one) for one in handled]) == [True, True]
    again = apply(other, change).or_raise()
    assert (again.repeated, again.counts) == (True, [1])
    assert [one.id for one in again.sent[0]] == [id_in(0), id_in(1)]
    assert other.peek("work") == []


def test_its_maker_repeats_it_and_is_not_refused_for_what_it_has_made(
    broker: ShardedBroker,
) -> None:
    """Nobody has made up for it yet."""
    id = next(id for at in count() if PLACEMENT.of_text(id := f"change-{at}") == 0)
    change = Change(id=id, records=[_put(id_in(1), "1"), _put(id_in(0), "1")])
    with dying_before_the_commit_of(broker, 0):
        apply(broker, change)
    assert apply(broker, change).or_raise().repeated
    assert isinstance(apply(broker, Change(records=change.records)).refused, VersionConflict)


def test_messages_of_several_files_are_stored_together_or_not(broker: ShardedBroker) -> None:
    good, bad = Message(id_in(1), "x"), Message(id_in(0), "x", delay=1e9)
    with pytest.raises(LimitExceeded):
        broker.publish("made", [good, bad])
    assert broker.peek("work") == []
    both = [Message(id_in(1), "x"), Message(id_in(0), "x")]
    with dying_before_the_commit_of(broker, 0):
        broker.send("work", both)
    assert [one.id for one in broker.send("work", both)] == [id_in(1), id_in(0)]
    assert sorted(one.id for one in broker.peek("work")) == sorted([id_in(0), id_in(1)])


def test_a_parcel_says_all() -> None:
    held = Delivery("1", "t", "", {}, "work", "0/1.2", 0, 0.0, 0.0, 0.0, slot="s")
    message = Message("1", "ä", {"b": Attribute("Binary", b"\xff"), "t": "x"}, 5.0, run="r")
    change = Change(
        keys=[Take("k", "me", 5.0), Free("k", "me")],
        records=[_put("1", "x"), Remove("run", "2", 3)],
        counters=[Add("run", "1", -1, [_put("2", "y"), Send("work", [message])])],
        sends=[Send("work", [message]), Publish("made", [message])],
        settlements=[
            Finish(held, 5.0),
            Hide(held, 1.0),
            Keep(held, 2.0),
            GiveBack(held, "s"),
            Bury(held, "{}"),
        ],
    )
    deeds: list[Change | Noted] = [change, Noted("id", "{}", 5.0)]
    assert read_parcel(write_parcel(deeds)) == deeds


def test_a_message_goes_to_the_file_of_its_limit(broker: ShardedBroker) -> None:
    """Its sender did not know of the limit; in one file the limit is exact."""
    slot = next(text for at in count() if PLACEMENT.of_text(text := f"pay-{at}") == 1)
    broker.send("work", [Message(id_in(0), "x", {"a": "b"}, headers={"h": "1"}, run="r")])
    (held,) = broker.receive("work")
    assert held.receipt.startswith("0/")
    back = Change(settlements=[GiveBack(held, slot)])
    assert apply(broker, back).or_raise().settled == [True]
    assert apply(broker, back).settled == [False]
    (again,) = broker.receive("work", holding=Holding(limits={slot: Limit(1)}))
    assert again.receipt.startswith("1/")
    assert (again.id, again.attributes, again.slot, again.run) == (held.id, {"a": "b"}, slot, "r")
    broker.send("work", [Message(id_in(0, "next"), "x", slot=slot)])
    assert broker.receive("work", holding=Holding(limits={slot: Limit(1)})) == []


def test_of_several_at_once_what_would_wait_for_a_file_is_left(opened: Open) -> None:
    """Who held one file and waited for another kept whoever wanted this one from that one."""
    broker, other = opened(), opened()
    broker.create_queue("work")
    ids = {broker.course.placement.of_id(id): id for id in map("n-{}".format, range(200))}
    sends = [partial(broker.send, "work", [Message(ids[file], "x")]) for file in (0, 1)]

    def meanwhile(_: Rows) -> list[Outcome]:
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(broker.gathered, sends).result()[0]

    first, second = other.shards[1].store.transact(meanwhile)
    assert first[1] is None
    assert isinstance(second[1], WouldWait)
    assert [one.id for one in broker.peek("work")] == [ids[0]]
    assert broker.gathered(sends[1:])[0][0][1] is None
