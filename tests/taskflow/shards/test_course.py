"""Who meets a file that has just left the broker goes by the new map, and hears of no error."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from typing import Any

import pytest

from taskflow.brokers.sharded import course
from taskflow.brokers.sharded.broker import ShardedBroker
from taskflow.brokers.sharded.fence import MapChanged
from taskflow.brokers.sharded.files import path_of
from taskflow.brokers.sharded.shard import Shard
from taskflow.errors import BrokerFileError, BrokerUnavailable
from taskflow.message import Message
from tests.taskflow.shards.conftest import Open
from tests.taskflow.shards.dying import Died


def in_another_thread(broker: ShardedBroker) -> None:
    """It meets the new map first."""
    thread = threading.Thread(target=broker.send, args=("work", [Message("other", "x")]))
    thread.start()
    thread.join()
    assert len(broker.shards) == 1


def test_a_verb_is_begun_again_though_another_thread_knew_of_the_new_map(
    broker: ShardedBroker, opened: Open
) -> None:
    tries: list[int] = []

    def work() -> str:
        tries.append(len(broker.shards))
        if len(tries) == 1:
            opened().resharding.run(1)
            in_another_thread(broker)
            raise BrokerFileError("broker.db.shard1: No such file or directory")
        return "done"

    assert broker.course.steady(work) == "done"
    assert tries == [2, 1]


def test_a_wait_for_the_disk_of_a_file_that_left_is_none(
    broker: ShardedBroker, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = broker.shards[1]
    opened().resharding.run(1)
    in_another_thread(broker)

    def sync() -> None:
        raise BrokerFileError("broker.db.shard1: No such file or directory")

    monkeypatch.setattr(left.store, "sync", sync)
    broker.course.secure(left)


def test_a_step_that_another_ended_meanwhile_is_no_error(
    broker: ShardedBroker, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    doomed, mover = opened(), opened()

    def die(*_: Any) -> None:
        raise Died

    monkeypatch.setattr(doomed.course._step, "end", die)
    with suppress(Died):
        doomed.resharding.run(1)
    ended: list[int] = []

    def is_late(shards: Sequence[Shard]) -> None:
        ended.append(len(shards))
        mover.resharding.run(1)
        raise BrokerFileError("broker.db.shard1: No such file or directory")

    monkeypatch.setattr(broker.course._step, "end", is_late)
    broker.send("work", [Message(f"id-{number}", "x") for number in range(9)])
    assert ended == [2]
    assert broker.counts("work").visible == 9


def test_a_file_that_is_gone_for_no_step_is_an_error(
    broker: ShardedBroker, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    doomed = opened()

    def die(*_: Any) -> None:
        raise Died

    monkeypatch.setattr(doomed.course._step, "end", die)
    with suppress(Died):
        doomed.resharding.run(1)

    def fail(_: Sequence[Shard]) -> None:
        raise BrokerFileError("broker.db.shard1: No such file or directory")

    monkeypatch.setattr(broker.course._step, "end", fail)
    with pytest.raises(BrokerFileError, match="shard1"):
        broker.send("work", [Message("id", "x")])


def dies_at(end: int, broker: ShardedBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reshards with this broker dies when it comes to end its so manieth step."""
    step = broker.course._step
    ends, real = count(1), step.end

    def dies(shards: Sequence[Shard]) -> None:
        if next(ends) >= end:
            raise Died
        real(shards)

    monkeypatch.setattr(step, "end", dies)


@pytest.mark.parametrize(
    ("back", "files", "end"),
    [(1, 2, 1), (1, 2, 2), (1, 3, 1), (1, 3, 2), (2, 3, 1)],
    ids=["made anew", "filled anew", "two made anew", "two filled anew", "one more"],
)
def test_who_comes_late_to_a_step_changes_no_other_files_than_those_of_now(
    broker: ShardedBroker,
    opened: Open,
    monkeypatch: pytest.MonkeyPatch,
    back: int,
    files: int,
    end: int,
) -> None:
    ids = {f"id-{number}" for number in range(60)}
    broker.send("work", [Message(id, "x") for id in ids])
    mover, first, second = opened(), opened(), opened()
    dies_at(1, first, monkeypatch)
    with suppress(Died):
        first.resharding.run(1)
    late = broker.course._step
    real = late.end

    def is_late(shards: Sequence[Shard]) -> None:
        monkeypatch.setattr(late, "end", real)
        mover.resharding.run(back)
        dies_at(end, second, monkeypatch)
        with suppress(Died):
            second.resharding.run(files)
        real(shards)

    monkeypatch.setattr(late, "end", is_late)
    assert broker.counts("work").visible == 60
    assert late.end is real, "it came to the step"
    for one in (broker, mover, opened()):
        assert {found.id for found in one.peek("work", 100)} == ids
        assert len(one.shards) == files


def test_a_step_is_not_ended_in_a_file_that_was_removed(
    broker: ShardedBroker, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = opened()
    dies_at(1, other, monkeypatch)
    with suppress(Died):
        other.resharding.run(1)
    shards = list(broker.shards)
    path_of(broker.course.leader, 1).unlink()
    with pytest.raises(BrokerFileError, match="file 1 of the broker was removed or replaced"):
        broker.course._step.end(shards)


@pytest.mark.parametrize("most", [30, None])
def test_files_that_change_while_they_are_looked_at_are_looked_at_again(
    broker: ShardedBroker, opened: Open, monkeypatch: pytest.MonkeyPatch, most: int | None
) -> None:
    """However often: that they did is no error that a verb tells. After a long time it gives up."""
    opened().resharding.run(3)
    monkeypatch.setattr(course, "_TRIES", 5)
    monkeypatch.setattr(course, "_LOOKS", 10)
    look, map_in, looks = broker.course._look, course._map_in, list[bool]()

    def changes() -> bool:
        return most is None or len(looks) <= most

    def is_late(last: bool) -> bool:
        looks.append(last)
        if changes():
            raise MapChanged
        return look(last)

    monkeypatch.setattr(broker.course, "_look", is_late)
    monkeypatch.setattr(course, "_map_in", lambda of: object() if changes() else map_in(of))
    if most is None:
        for verb in (broker.course.refresh, lambda: broker.send("work", [Message("1", "x")])):
            with pytest.raises(BrokerUnavailable, match="is being changed"):
                verb()
    else:
        broker.send("work", [Message("1", "x")])
        assert len(looks) == most + 1
        assert broker.counts("work").visible == 1
