"""Writes the file of this release: `python -m tests.stability`, once, when it is released.

The file is a broker's as SQL, with work in every state, which every later release must go on with.
"""

import sqlite3
import tempfile
from pathlib import Path
from random import Random

from taskflow import Worker, open_broker, publish
from taskflow.publisher import using
from taskflow.testing import ManualClock
from taskflow.version import VERSION
from tests.stability.application import STARTED, begin, kept, leave

HERE = Path(__file__).parent


def write(folder: Path) -> str:
    clock = ManualClock(STARTED)
    address = f"sqlite:///{folder}/broker.db?durability=process"
    broker = open_broker(address, clock=clock, random=Random(1))
    with using(broker):
        worker = Worker(broker, registry=kept)
        worker.declare()
        publish("order.created", {"id": "done"}, id="evt_done")
        publish("order.created", {"id": "bad"}, id="evt_bad")
        begun = begin()
        for _ in range(3):
            worker.drain()
            clock.advance(60)
        left = leave()
    broker.close()
    connection = sqlite3.connect(folder / "broker.db")
    marks = [
        f"PRAGMA {name} = {connection.execute(f'PRAGMA {name}').fetchone()[0]};"
        for name in ("application_id", "user_version")
    ]
    ids = [f"-- {name} {id}" for name, id in {**begun, **left}.items()]
    text = "\n".join([*ids, *marks, *connection.iterdump()]) + "\n"
    return text.replace(f"{HERE.parents[1]}/", "")  # in tracebacks


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        (HERE / f"{VERSION}.sql").write_text(write(Path(made)))
