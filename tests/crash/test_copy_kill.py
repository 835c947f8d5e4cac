"""SIGKILL while messages are copied between a broker of one file and one of several."""

import random
import signal
from pathlib import Path

import pytest

from taskflow import open_broker
from taskflow.brokers.copying.copy import Copy
from taskflow.message import Message
from tests.crash.processes import SECONDS, child, rest

pytestmark = pytest.mark.crash
COUNT = 300
IDS = {f"n-{number}" for number in range(COUNT)}


def shards(files: int) -> str:
    return f"&shards={files}" if files > 1 else ""


@pytest.mark.slow
@pytest.mark.parametrize(("source_files", "target_files"), [(1, 3), (3, 1), (2, 3)])
def test_each_message_is_copied_once_whoever_is_killed(
    tmp_path: Path, source_files: int, target_files: int
) -> None:
    """While a worker of the other broker handles what came."""
    source_at, target_at = (
        f"sqlite:///{tmp_path}/{name}.db?durability=process{more}"
        for name, more in (("from", shards(source_files)), ("to", shards(target_files)))
    )
    source, target = open_broker(source_at), open_broker(target_at)
    source.create_queue("work")
    source.create_queue("lanes.fifo")
    source.send("work", [Message(id, "x") for id in IDS])
    grouped = [
        Message(f"{group}-{at}", "x", group=group, deduplication_id=f"{group}-{at}")
        for at in range(40)
        for group in "abc"
    ]
    source.send("lanes.fifo", grouped)
    dice = random.Random(source_files)
    target.create_queue("work")  # for its worker
    with child("consume_for_ever", target_at) as worker:
        for _ in range(5):
            at = str(dice.randrange(1, 30))
            with child("copy_and_die", source_at, target_at, at) as copying:
                assert copying.wait(SECONDS) == -signal.SIGKILL
        worker.kill()
        said = rest(worker)
    assert len({*said}) == len(said), "handled twice"
    Copy(source, target).run()
    handled = {id for id, _ in target.finished("work", {(id, "") for id in IDS})}
    waiting = [one.id for one in target.peek("work", 2 * COUNT)]
    assert {*said} <= handled
    assert sorted([*handled, *waiting]) == sorted(IDS), "each once"
    assert [one.id for one in target.peek("lanes.fifo", 200)] == [one.id for one in grouped]
    assert not any(source.peek(name) for name in source.queues())
    source.close()
    target.close()
