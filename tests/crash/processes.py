"""Starting processes to be killed, hearing what they say, and looking at the file afterwards."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from taskflow import SystemClock, open_broker
from taskflow.broker import Broker
from taskflow.testing import ManualClock

CHILD = Path(__file__).with_name("child.py")


@contextmanager
def child(role: str, address: str) -> Iterator["subprocess.Popen[str]"]:
    """A process in that role; killed, with all it has said, at the end of the block."""
    with subprocess.Popen(
        [sys.executable, str(CHILD), role, address], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def lines(process: "subprocess.Popen[str]", count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().strip() for _ in range(count)]


def rest(process: "subprocess.Popen[str]") -> list[str]:
    """What it said before it died; a line cut short is no answer."""
    assert process.stdout is not None
    return [line.strip() for line in process.stdout.read().splitlines(True) if line[-1] == "\n"]


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
        connection.execute("SELECT count(*) FROM payload").get
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
