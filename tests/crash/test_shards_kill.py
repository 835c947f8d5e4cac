"""SIGKILL between the files of a broker: what is one change is made in all of them, or in none."""

import random
from contextlib import ExitStack
from pathlib import Path

import pytest

from taskflow import open_broker
from taskflow.message import Message
from tests.crash.processes import check_integrity, child, lines, rest

pytestmark = pytest.mark.crash
COUNT = 600


@pytest.mark.slow
def test_changes_of_several_files_are_whole_whoever_is_killed(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/broker.db?durability=process&shards=3"
    broker = open_broker(address)
    broker.create_queue("work")
    broker.create_queue("done")
    ids = [f"n-{number}" for number in range(COUNT)]
    broker.send("work", [Message(id, "x") for id in ids])
    dice, said = random.Random(3), list[str]()
    for _ in range(2):
        with ExitStack() as both:
            processes = [both.enter_context(child("pass_on_for_ever", address)) for _ in "12"]
            for process in processes:
                said += lines(process, dice.randrange(1, 40))
            for process in processes:
                process.kill()
                said += rest(process)
    broker.close()
    broker = open_broker(address)  # does what was left to do
    done = [one.id for one in broker.peek("done", COUNT)]
    passed = {id.removeprefix("s-") for id in done}
    assert len(done) == len(passed), "sent twice"
    assert {*said} <= passed
    assert {*broker.records("run", [f"r-{id}" for id in ids])} == {f"r-{id}" for id in passed}
    assert broker.finished("work", {(id, "") for id in ids}) == {(id, "") for id in passed}
    assert {one.id for one in broker.peek("work", COUNT)} == {*ids} - passed
    broker.close()
    for number in range(3):
        check_integrity(f"{address.partition('?')[0]}{f'.shard{number}' if number else ''}")
