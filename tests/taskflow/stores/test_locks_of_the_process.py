"""No file that SQLite locks is opened beside it: closing it would drop the locks of the process.

POSIX locks belong to a process and a file, not to a descriptor. Whoever opens `broker.db` or
`broker.db-shm` by itself, and closes it, unlocks what SQLite holds; the next process that opens the
broker then truncates the shared memory under the others. https://sqlite.org/howtocorrupt.html
"""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PROGRAM = """
import os, sys
opened = []
def note(event, arguments):
    if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
        if not arguments[2] & os.O_EXCL:  # that makes a file or fails, and then has nothing open
            opened.append(os.fsdecode(arguments[0]))
sys.addaudithook(note)

from taskflow.broker import Finish
from taskflow.broker.change import Change, Put
from taskflow.config import open_broker
from taskflow.message import Message

path = sys.argv[1]
brokers = [open_broker(f"sqlite:///{path}?durability=power") for _ in range(2)]
one, other = brokers
one.create_topic("made")
one.create_queue("work")
one.subscribe("made", "work")
del opened[:]  # the file was made: from now on it is locked
for turn in range(200):
    one.publish("made", [Message(str(turn), "x" * 1000)])
    other.apply([Change(records=[Put(kind="run", key=str(turn), value="x")])])
    found = other.receive("work", limit=10, wait=0.01)
    other.delete([Finish(delivery) for delivery in found])
    one.upkeep()
third = open_broker(f"sqlite:///{path}")  # a third one finds it, locked or not
third.queues()
third.close()
if (pid := os.fork()) == 0:
    one.send("work", [Message("of a child", "x")])
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
assert one.counts("work").visible == 1
for broker in brokers:
    broker.close()
print(*sorted({name for name in opened if name.startswith(path)}), sep="\\n")
"""


@pytest.mark.slow
def test_nothing_but_sqlite_opens_what_sqlite_locks(tmp_path: Path) -> None:
    path = str(tmp_path / "broker.db")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), path],
        capture_output=True,
        text=True,
        check=True,
    )
    locked = {path, f"{path}-shm"}  # the WAL carries no locks, and bells are another folder
    opened = set(done.stdout.split())
    assert f"{path}-wal" in opened, "it is seen what is opened"
    assert not opened & locked
