"""Who receives from which file, and who is woken."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import Any, cast

import pytest

from taskflow.broker import Finish
from taskflow.brokers.sharded.broker import ShardedBroker
from taskflow.brokers.sharded.fence import MapChanged
from taskflow.brokers.sharded.home import HELD, LOOKS
from taskflow.brokers.sharded.homes import ELSEWHERE, TURN
from taskflow.errors import BrokerUnavailable
from taskflow.message import Message
from taskflow.placing import PLACES, place_of
from taskflow.testing import ManualClock
from tests.taskflow.shards.dying import PLACEMENT, Died, id_in

Open = Callable[[], ShardedBroker]
WAIT = 30.0  # real seconds, for what comes at once


def fill(broker: ShardedBroker, count: int = 3) -> None:
    for number in (0, 1):
        broker.send("work", [Message(id_in(number, f"m{at}"), "x") for at in range(count)])


def file_of_next(broker: ShardedBroker) -> str:
    (held,) = broker.receive("work")
    return held.receipt.partition("/")[0]


@pytest.mark.parametrize("number", [0, 1])
def test_a_long_poll_hears_what_another_process_sends_into_any_file(
    broker: ShardedBroker, opened: Open, taskflow_clock: ManualClock, number: int
) -> None:
    """Each broker has a bell of its own, as if it were in another process; no time goes by."""
    other = opened()
    with ThreadPoolExecutor() as pool:
        polled = pool.submit(broker.receive, "work", "work.fifo", limit=5, wait=20)
        taskflow_clock.wait_until_parked()
        other.send("work", [Message(id_in(number), "x")])
        (held,) = polled.result(WAIT)
        assert held.receipt.startswith(f"{number}/")
        waits = pool.submit(broker.receive, "work.fifo", wait=20)
        taskflow_clock.wait_until_parked()
        other.send("work.fifo", [Message("1", "x", group="g", deduplication_id="1")])
        assert [one.id for one in waits.result(WAIT)] == ["1"]


def test_a_watcher_hears_the_names_of_queues(broker: ShardedBroker) -> None:
    heard: list[str] = []
    broker.watch(heard.extend)
    broker.send("work", [Message(id_in(1), "x")])
    assert "work" in heard
    assert not any("@" in name for name in heard)


def test_two_begin_at_different_files(
    broker: ShardedBroker, opened: Open, taskflow_clock: ManualClock
) -> None:
    other = opened()
    fill(broker)
    seen = {file_of_next(broker), file_of_next(other)}
    for each in (broker, other):
        for _ in range(2):
            seen.add(file_of_next(each))
    assert seen == {"0", "1"}
    broker.purge("work")
    taskflow_clock.advance(LOOKS)
    first = [file_of_next_of(each, broker) for each in (broker, other)]
    assert sorted(first) == ["0", "1"]


def file_of_next_of(each: ShardedBroker, filled: ShardedBroker) -> str:
    fill(filled, 1)
    found = file_of_next(each)
    filled.purge("work")
    return found


def test_who_is_alone_begins_at_each_and_the_files_of_the_dead_are_anybodys(
    broker: ShardedBroker, opened: Open, taskflow_clock: ManualClock
) -> None:
    other = opened()
    other.receive("work")  # it has a file now, and dies
    assert len({file_of_next_of(broker, broker) for _ in range(4)}) == 1
    taskflow_clock.advance(HELD + 1)
    broker.receive("work")
    assert len({file_of_next_of(broker, broker) for _ in range(4)}) == 2


def test_who_leaves_leaves_its_file(broker: ShardedBroker, opened: Open) -> None:
    other = opened()
    other.receive("work")
    other.close()
    assert len({file_of_next_of(broker, broker) for _ in range(4)}) == 2


def test_now_and_then_it_begins_at_somebody_elses(
    broker: ShardedBroker, opened: Open, taskflow_clock: ManualClock
) -> None:
    opened().receive("work")
    own = file_of_next_of(broker, broker)
    taskflow_clock.advance(ELSEWHERE)
    assert file_of_next_of(broker, broker) != own
    assert file_of_next_of(broker, broker) == own


def test_it_helps_where_its_own_is_empty(broker: ShardedBroker, opened: Open) -> None:
    opened().receive("work")
    fill(broker)
    assert len(broker.receive("work", limit=10)) == 6


def test_who_sends_a_lot_goes_from_file_to_file_and_who_sends_little_stays(
    broker: ShardedBroker, taskflow_clock: ManualClock
) -> None:
    def turn(count: int, many: bool = False) -> list[int]:
        taskflow_clock.advance(TURN)
        places = [broker.new_place(many) for _ in range(count)]
        assert count == 1 or len({*places}) > count // 2
        return [PLACEMENT.of_place(place) for place in places]

    assert len({file for _ in range(6) for file in turn(1)}) == 1
    turns = [{*turn(100)} for _ in range(5)][1:]
    assert {len(files) for files in turns} == {1}
    assert turns[0] != turns[1] != turns[2]
    assert {*turn(2, many=True)} == {0, 1}


def test_what_is_lent_is_answered_though_another_file_fails(
    broker: ShardedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(broker)

    def fail(*given: Any) -> Any:
        raise BrokerUnavailable("it is locked")

    own = file_of_next(broker)
    other = broker.shards[0 if own == "1" else 1].broker
    monkeypatch.setattr(other.receiver, "take", fail)
    answers = []
    for _ in range(2):
        try:
            answers.append(len(broker.receive("work", limit=10)))
        except BrokerUnavailable:
            answers.append(-1)
    assert sorted(answers) == [-1, 2]


def test_receipts_of_no_file_are_stale(broker: ShardedBroker) -> None:
    fill(broker)
    (held,) = broker.receive("work")
    plain = held.receipt.partition("/")[2]
    for receipt in ("", plain, f"7/{plain}", f"x/{plain}", "0/"):
        held.receipt = receipt
        assert broker.delete([Finish(held)]) == [False]
        assert broker.leases([held]) == ["gone"]
        assert broker.received_at([receipt]) == [None]


def test_ids_that_are_made_here_lie_where_they_are_wanted(broker: ShardedBroker) -> None:
    assert place_of("0198c0de-0000-7000-8000-0000000003ff.step.1") == 0x3FF


@pytest.mark.parametrize("files", [1, 3])
@pytest.mark.parametrize("when", ["before", "after", "half"])
def test_the_lease_of_a_lone_message_is_not_lost_while_the_files_are_divided_anew(
    broker: ShardedBroker, opened: Open, when: str, files: int
) -> None:
    """It is lent by a statement that is committed by itself; another process acts around that, or
    dies when another file has it, and this one has not forgotten it."""
    other = opened()
    fill(broker)  # then it is known how much room there is in flight
    broker.delete([Finish(one) for one in broker.receive("work", limit=10)])
    id = next(id for at in count() if place_of(id := f"m-{at}") == PLACES - 1)  # it moves
    broker.send("work", [Message(id, "x")])

    def act() -> None:
        with suppress(Died):
            other.resharding.run(files)

    leader: Any = other.shards[0].store
    sync, synced = leader.sync_file, count()

    def die() -> None:
        if next(synced) == 1:  # after the step; the first is before
            raise Died
        sync()

    if when == "half":
        leader.sync_file = die
    acts = [act]
    rows: Any = broker.shards[1].store._database.reading.rows
    lend = rows.lend_lone

    def act_and_lend(*given: Any) -> Any:
        if when != "after" and acts:
            acts.pop()()
        lent = lend(*given)
        if acts:
            acts.pop()()
        return lent

    rows.lend_lone = act_and_lend
    (held,) = broker.receive("work")
    assert not acts
    assert (held.id, held.receive_count) == (id, 1)
    assert broker.delete([Finish(held)]) == [True]
    assert broker.waiting("work", 10) == 0


def test_a_step_is_let_through_by_what_was_seen_only_under_the_same_stamp(
    broker: ShardedBroker, opened: Open
) -> None:
    """Its statement asks for the stamp that is known, which may be that of another map by now: who
    goes by none has learned of it."""
    shard = broker.shards[1]
    rows: Any = shard.store._database.reading.rows
    epoch = shard.fence._epoch
    fill(broker)
    broker.receive("work", limit=10)
    number = broker.course.map.epoch
    try:
        epoch.number = number
        shard.fence(rows, True)
        opened().resharding.run(3)
        shard.fence(rows, True)  # so far it is not known here: the statement changes nothing
        epoch.number = None
        rows.stamp()
        epoch.number = number
        with pytest.raises(MapChanged):
            shard.fence(rows, True)
    finally:
        epoch.number = None


def test_whether_an_event_is_finished_is_asked_once_in_whichever_file(
    broker: ShardedBroker, opened: Open
) -> None:
    """When it is lent; and again when the lease may be over."""
    fill(broker)  # then it is known how much room there is in flight
    broker.delete([Finish(one) for one in broker.receive("work", limit=10)])
    asked: list[int] = []
    for shard in broker.shards:
        rows: Any = shard.store._database.reading.rows
        rows.remembered = _noted(rows.remembered, asked)
    for number in (0, 1):
        broker.send("work", [Message(id := id_in(number, "once"), "x")])
        (held,) = broker.receive("work", visibility=10)
        assert (held.id, broker.claim([held])) == (id, ["free"])
        assert len(asked) == number
        cast(ManualClock, broker.clock).advance(10)
        other = opened()
        other.delete([Finish(again, remember=60) for again in other.receive("work")])
        assert broker.claim([held]) == ["finished"]
        assert len(asked) == number + 1


def _noted(call: Callable[..., Any], calls: list[int]) -> Callable[..., Any]:
    def noted(*given: Any) -> Any:
        calls.append(1)
        return call(*given)

    return noted


def test_a_receipt_that_is_none_says_nothing_of_others(broker: ShardedBroker) -> None:
    broker.resharding.run(12)
    for at in range(40):
        broker.send("work", [Message(f"m{at}", "x")])
    held = broker.receive("work", limit=10) + broker.receive("work", limit=10)
    held += broker.receive("work", limit=20)
    (good, *_) = (one for one in held if one.receipt.startswith(("10/", "11/")))
    bad = replace(good, receipt="1")
    assert broker.leases([bad, good]) == ["gone", "held"]
    assert broker.delete([Finish(bad), Finish(good)]) == [False, True]
