"""FIFO queues: duplicates, sequence numbers, and receives that are asked for again."""

import random
from pathlib import Path

from taskflow.config import open_broker
from taskflow.message import Message
from taskflow.testing import ManualClock
from taskflow.testing.contract.traffic.deduplication import *


def test_duplicates_are_known_after_a_restart(clock: ManualClock, tmp_path: Path) -> None:
    answers = []
    for id in ("1", "2"):
        broker = open_broker(f"sqlite:///{tmp_path}/b.db", clock=clock, random=random.Random(1))
        broker.create_queue("q.fifo")
        answers += broker.send("q.fifo", [Message(id, "x", group="g", deduplication_id="key")])
        broker.close()
    assert answers[0] == answers[1]
