"""Programs that fork, and what they left in their broker."""

import subprocess
import sys
import textwrap

from taskflow import open_broker

BESIDE_THREADS = """
import signal
signal.alarm(40)  # of a child that hangs, too

def begin(work, *arguments):
    thread = threading.Thread(target=work, args=arguments)
    thread.start()
    return thread

def in_child(work):
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
"""
"""What a program begins with that forks beside its threads."""
HEAD = """
import os, sys, threading
from taskflow import open_broker
from taskflow.errors import BrokerUnavailable
from taskflow.message import Message
from taskflow.publisher import publish

broker = open_broker(sys.argv[1])

def send(*ids):
    for id in ids:
        broker.send("work", [Message(id, "x")])
"""


def program(text: str, address: str) -> str:
    """Run a program; what it printed. It must end well."""
    code = HEAD + textwrap.dedent(text)
    done = subprocess.run(
        [sys.executable, "-c", code, address], capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stderr, done.stderr
    return done.stdout


def stored(address: str) -> list[str]:
    """The messages that another process sees."""
    broker = open_broker(address)
    found = sorted(one.id for one in broker.peek("work", 10_000_000))
    broker.close()
    return found


def make(where: str) -> str:
    """Make a broker with a topic and its queue; answers the address."""
    broker = open_broker(where)
    broker.create_queue("work")
    broker.create_topic("made")
    broker.subscribe("made", "work")
    broker.close()
    return where
