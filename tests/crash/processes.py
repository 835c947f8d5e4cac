"""Starting processes to be killed, hearing what they say, and looking at the file afterwards."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from weakref import WeakKeyDictionary

import apsw

from taskflow import SystemClock, open_broker
from taskflow.broker import Broker
from taskflow.testing import ManualClock

SECONDS = 60.0  # real ones, for which a test waits for a word
CHILD = Path(__file__).with_name("child.py")


@contextmanager
def child(role: str, *given: str) -> Iterator["subprocess.Popen[str]"]:
    """A process in that role; killed, with all it has said, at the end of the block.

    It is heard all the time: one whose pipe is full would stand still, and others, who wait for
    what it does, with it.
    """
    with subprocess.Popen(
        [sys.executable, str(CHILD), role, *given], stdout=subprocess.PIPE, text=True
    ) as process:
        said = _heard[process] = Queue()
        reader = threading.Thread(target=_hear, args=(process, said))
        reader.start()
        try:
            yield process
        finally:
            process.kill()
            reader.join()


_heard: WeakKeyDictionary["subprocess.Popen[str]", "Queue[str]"] = WeakKeyDictionary()


def _hear(process: "subprocess.Popen[str]", said: "Queue[str]") -> None:
    assert process.stdout is not None
    for line in process.stdout:
        said.put(line)
    said.put("")


def lines(process: "subprocess.Popen[str]", count: int) -> list[str]:
    """So many lines, as soon as they are said."""
    if (said := _heard.get(process)) is not None:
        return [said.get(timeout=SECONDS).strip() for _ in range(count)]
    assert process.stdout is not None
    return [process.stdout.readline().strip() for _ in range(count)]


def rest(process: "subprocess.Popen[str]") -> list[str]:
    """What it said before it died; a line cut short is no answer."""
    found = iter(lambda: _heard[process].get(timeout=SECONDS), "")
    return [line.strip() for line in found if line[-1] == "\n"]


def later(address: str, seconds: float) -> Broker:
    """The same file, seen from `seconds` ahead: leases have ended."""
    return open_broker(address, clock=ManualClock(SystemClock().now() + seconds))


def end_leases(address: str) -> None:
    """Let every lease of the file end now."""
    connection = apsw.Connection(address.removeprefix("sqlite:///").partition("?")[0])
    for change in ("UPDATE message SET visible_at = ?", "UPDATE lane SET ready_at = ?"):
        connection.execute(change, (SystemClock().now() - 1,))
    connection.close()


def check_integrity(address: str) -> None:
    path = address.removeprefix("sqlite:///").partition("?")[0]
    connection = apsw.Connection(path)
    assert connection.pragma("integrity_check") == "ok"
    assert connection.execute("SELECT count(*) FROM message").get == (
        connection.execute("SELECT count(*) FROM body").get
    )
    connection.close()


def until_there(broker: Broker, queue: str, holding: int = 0) -> None:
    """Wait for a queue to be declared, and to hold so many messages."""
    clock, pause = SystemClock(), threading.Condition()
    until = clock.now() + 60
    with pause:
        while queue not in broker.queues() or broker.counts(queue).visible < holding:
            assert clock.now() < until
            clock.wait(pause, 0.05)
