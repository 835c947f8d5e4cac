"""A Celery worker process, and the lines that its tasks write."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from urllib.parse import quote, urlsplit

LIMIT = 30.0  # seconds for a worker to do something, or to end
WITHOUT = ("--without-gossip", "--without-mingle", "--without-heartbeat")


def broker_url(endpoint: str) -> str:
    """The endpoint with the access key in it, as kombu wants it."""
    secret = quote(os.environ["AWS_SECRET_ACCESS_KEY"], safe="")
    return f"sqs://{os.environ['AWS_ACCESS_KEY_ID']}:{secret}@{urlsplit(endpoint).netloc}"


@dataclass
class Worker:
    """A worker; `code` is its exit code once it has ended."""

    process: "subprocess.Popen[bytes]"
    effects: Path
    code: int | None = None
    idle: bool = False  # something was waited for in vain

    def read(self) -> list[str]:
        """What its tasks wrote so far."""
        return self.effects.read_text().splitlines() if self.effects.exists() else []

    def wait_until(self, holds: Callable[[list[str]], bool]) -> bool:
        """Whether that held of the lines within the limit, from a worker that runs."""
        until = time.monotonic() + LIMIT
        while time.monotonic() < until and self.process.poll() is None:
            if holds(self.read()):
                return True
            Event().wait(0.1)
        self.idle = True
        return False

    def wait_for(self, *lines: str) -> bool:
        """Whether all lines were there within the limit."""
        return self.wait_until(lambda found: set(lines) <= set(found))


@contextmanager
def working(
    command: tuple[str, ...], folder: Path, name: str, cwd: Path | None = None, **environ: str
) -> Iterator[Worker]:
    """Run `python -m ...`, whose tasks write into the file `name` (CLIENTS_EFFECTS, SHOP_LOG); end
    it with SIGTERM. Its log is printed when it did not work or end well."""
    effects, log = folder / name, folder / f"{name}.log"
    files = {"CLIENTS_EFFECTS": str(effects), "SHOP_LOG": str(effects)}
    with log.open("wb") as output:
        worker = Worker(
            subprocess.Popen(
                [sys.executable, "-m", *command],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=os.environ | files | environ,
            ),
            effects,
        )
    try:
        yield worker
    finally:
        worker.process.send_signal(signal.SIGTERM)
        try:
            worker.code = worker.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.code = worker.process.wait()
        if worker.code or worker.idle:
            print(log.read_text())
