"""SIGKILL between the files of a broker: what is one change is made in all of them, or in none."""

import random
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest

from taskflow import open_broker
from taskflow.brokers.sharded.broker import ShardedBroker
from taskflow.message import Message
from tests.crash.child import next_of
from tests.crash.processes import check_integrity, child, lines, rest

pytestmark = pytest.mark.crash
MANY = 1_000_000
COUNT = 100
"""Messages that wait at any time: more than two processes can take from each other."""


@pytest.mark.slow
def test_changes_of_several_files_are_whole_whoever_is_killed(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/broker.db?durability=process&shards=3"
    broker = open_broker(address)
    broker.create_queue("work")
    broker.create_queue("done")
    ids = {f"n{number}-0" for number in range(COUNT)}
    broker.send("work", [Message(id, "x") for id in ids])
    dice, said = random.Random(3), list[str]()
    for _ in range(2):
        with ExitStack() as both:
            processes = [both.enter_context(child("pass_on_in_turn", address)) for _ in "12"]
            for process in processes:
                said += lines(process, dice.randrange(1, 40))
            for process in processes:
                process.kill()
                said += rest(process)
    broker.close()
    broker = open_broker(address)  # does what was left to do
    done = [one.id for one in broker.peek("done", MANY)]
    passed = {id.removeprefix("s-") for id in done}
    assert len(done) == len(passed), "sent twice"
    assert {*said} <= passed
    assert {*broker.records("run", [f"r-{id}" for id in passed])} == {f"r-{id}" for id in passed}
    assert broker.finished("work", {(id, "") for id in passed}) == {(id, "") for id in passed}
    due = (ids | {next_of(id) for id in passed}) - passed
    waiting = [one.id for one in broker.peek("work", MANY)]
    assert sorted(waiting) == sorted(due), "each that was passed on is passed on in its turn"
    assert not broker.records("run", [f"r-{id}" for id in due])
    assert not broker.finished("work", {(id, "") for id in due})
    broker.close()
    for number in range(3):
        check_integrity(f"{address.partition('?')[0]}{f'.shard{number}' if number else ''}")


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["process", "power"])
def test_what_a_killed_publisher_was_answered_is_there_in_however_many_files(
    tmp_path: Path, durability: str
) -> None:
    """Those of two publishers, while the files become more and fewer: once each, and no file holds
    what is another's."""
    address = f"sqlite:///{tmp_path}/broker.db?durability={durability}"
    broker = cast(ShardedBroker, open_broker(f"{address}&shards=2"))
    broker.create_queue("work")
    broker.create_topic("made")
    broker.subscribe("made", "work")
    dice, said = random.Random(4), list[str]()
    for files in (3, 1, 2):
        with ExitStack() as both:
            role = "publish_payloads_for_ever"
            processes = [both.enter_context(child(role, address)) for _ in "12"]
            for process in processes:
                said += lines(process, dice.randrange(70, 400))
            broker.resharding.run(files)
            for process in processes:
                said += lines(process, dice.randrange(1, 200))
                process.kill()
                said += rest(process)
    ids = [(one.id, shard) for shard in broker.shards for one in shard.broker.peek("work", MANY)]
    stored = {id for id, _ in ids}
    assert set(said) <= stored
    assert len(stored) == len(ids)
    assert all(broker.course.placement.of_id(id) == shard.number for id, shard in ids)
    broker.close()
    for number in range(2):
        check_integrity(f"{address.partition('?')[0]}{f'.shard{number}' if number else ''}")
