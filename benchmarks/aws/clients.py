"""The clients that are compared, and one run of one of them: emulator, proxy, worker, sender."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3.session

from benchmarks import accounting
from benchmarks.aws.proxy import Proxy, Tally
from benchmarks.aws.sender import WARM_UP
from benchmarks.wire.servers import BY_NAME, Server

ROOT = Path(__file__).parent.parent.parent
OURS = Path(sys.executable).parent
THEIRS = ROOT / ".venv-bench-aws/bin"
WITHIN = 120.0  # seconds for anything to happen
# USD per million requests, list price of us-east-1 in 2026, above the free tier.
# https://aws.amazon.com/sqs/pricing/ and https://aws.amazon.com/sns/pricing/
PRICES = {"sqs": 0.40, "sns": 0.50}
FAKE = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
FAKE |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}


class ClientFailed(Exception):
    """A client did not do its work, with the end of its log."""


@dataclass(frozen=True)
class Kind:
    """One line of the table."""

    name: str
    title: str
    worker: str  # the command; `bin` is where it lies
    sender: str  # a module
    bin: Path = THEIRS

    @property
    def installed(self) -> bool:
        return (self.bin / self.worker.split()[0]).exists()


KINDS = [
    Kind(
        name="taskflow",
        title="taskflow, `aws://`",
        worker="taskflow --log-level WARNING worker jobs --module benchmarks.aws.taskflow_app",
        sender="benchmarks.aws.taskflow_sender",
        bin=OURS,
    ),
    Kind(
        name="celery",
        title="Celery, kombu's SQS transport",
        worker="celery -A benchmarks.aws.celery_app worker --loglevel WARNING"
        " --without-gossip --without-mingle --without-heartbeat",
        sender="benchmarks.aws.celery_app",
    ),
    Kind(
        name="dramatiq",
        title="Dramatiq, dramatiq-sqs",
        worker="dramatiq benchmarks.aws.dramatiq_app",
        sender="benchmarks.aws.dramatiq_app",
    ),
]


class Heard:
    """The socket on which handlers tell their numbers."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))

    def collect(self, wanted: set[int]) -> int:
        """Wait until all of them ran; answers how often one ran that had run before.

        Raises TimeoutError when nothing is heard for WITHIN seconds.
        """
        missing, again = set(wanted), 0
        self._socket.settimeout(WITHIN)
        while missing:
            number = int(self._socket.recv(64))
            again += number in wanted and number not in missing
            missing.discard(number)
        return again

    def close(self) -> None:
        self._socket.close()


class Running:
    """A worker that has handled the warm-up, and a sender that waits for the word."""

    def __init__(self, kind: Kind, delay: float, stack: ExitStack) -> None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        server = stack.enter_context(Server(BY_NAME["taskflow-process"]))
        self.proxy = stack.enter_context(Proxy(server.port, delay))
        self.heard = Heard(folder / "heard")
        stack.callback(self.heard.close)
        endpoint = f"http://127.0.0.1:{self.proxy.port}"
        if kind.name != "taskflow":  # which makes its own
            make_queue(f"http://127.0.0.1:{server.port}")
        environment = FAKE | {
            "BENCH_ENDPOINT": endpoint,
            "BENCH_HEARD": str(folder / "heard"),
            "TASKFLOW_BROKER": f"aws://us-east-1?endpoint={endpoint}",
            "PYTHONPATH": str(ROOT),
        }
        self._log = folder / "log"
        words = kind.worker.split()
        stack.enter_context(process([str(kind.bin / words[0]), *words[1:]], environment, self._log))
        sender = [str(kind.bin / "python"), "-m", kind.sender]
        self.sender = stack.enter_context(process(sender, environment, self._log))
        self.expect("warm")
        self.heard.collect(set(range(-WARM_UP, 0)))
        self.deleted(WARM_UP)

    def expect(self, word: str) -> None:
        """Read a line of the sender."""
        assert self.sender.stdout is not None
        if (line := self.sender.stdout.readline().strip()) != word:
            raise ClientFailed(f"the sender said {line!r}; {self._log.read_text()[-400:]}")

    def say(self, line: str) -> None:
        assert self.sender.stdin is not None
        self.sender.stdin.write(f"{line}\n")
        self.sender.stdin.flush()

    def deleted(self, count: int) -> None:
        if not self.proxy.wait_for_deletes(count, WITHIN):
            raise ClientFailed(f"{self.proxy.tally.deleted} of {count} messages were deleted")


def make_queue(endpoint: str) -> None:
    """The queue of the clients that do not make their own."""
    keys = {
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
        "region_name": "us-east-1",
    }
    sqs: Any = boto3.session.Session().client("sqs", endpoint_url=endpoint, **keys)  # type: ignore[no-untyped-call]  # boto3 has no types
    sqs.create_queue(QueueName="jobs")


@contextmanager
def process(
    words: list[str], environment: Mapping[str, str], log: Path
) -> Iterator["subprocess.Popen[str]"]:
    """A process from entry to exit of the block; it is ended with all its children."""
    with log.open("ab") as errors:
        child = subprocess.Popen(
            words,
            cwd=log.parent,
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        yield child
    finally:
        for pid in sorted(accounting.tree([child.pid])):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        child.wait()


def load(kind: Kind, delay: float, count: int) -> dict[str, Any]:
    """`count` messages from several threads; counted until the last is deleted."""
    with ExitStack() as stack:
        running = Running(kind, delay, stack)
        running.proxy.reset()
        began = time.monotonic()
        with ThreadPoolExecutor(1) as ear:  # a socket that nobody reads would stop the handlers
            told = ear.submit(lambda: (running.heard.collect(set(range(count))), time.monotonic()))
            running.say(str(count))
            running.expect("sent")
            sent = time.monotonic()
            again, handled = told.result()
        running.deleted(count)
        tally = running.proxy.tally
    requests, billed = dict(tally.requests), dict(tally.billed)
    per = 1000 / count
    return {
        "requests": sum(requests.values()) * per,
        "actions": {action: number * per for action, number in sorted(requests.items())},
        "errors": dict(tally.answered),
        "rate": count / (handled - began),
        "publish_rate": count / (sent - began),
        "twice": again,
        "dollars": dollars(tally) / count * 1e6,
        "billed": sum(billed.values()) * per,
    }


def dollars(tally: Tally) -> float:
    """What the answered requests cost."""
    return sum(number * PRICES[action[:3]] / 1e6 for action, number in tally.billed.items())


def idle(kind: Kind, delay: float, settle: float, window: float) -> dict[str, Any]:
    """Requests of a worker with one empty queue, per minute."""
    with ExitStack() as stack:
        running = Running(kind, delay, stack)
        running.proxy.reset()
        time.sleep(settle + window)  # noqa: TID251  # idleness is what is measured
        end = time.monotonic()
        begun = [action for at, action in running.proxy.tally.begun if at > end - window]
    return {
        "requests": len(begun) * 60 / window,
        "actions": {name: begun.count(name) * 60 / window for name in sorted(set(begun))},
    }
