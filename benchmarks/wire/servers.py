"""The servers that are compared: how each is started, word for word, and ended by its pid."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks import accounting
from benchmarks.stores import free_port

ROOT = Path(__file__).parent.parent.parent
START_WITHIN = 60.0


class ServerFailed(Exception):
    """A server did not start, or ended, with the end of its log."""


@dataclass(frozen=True)
class Kind:
    """One line of the table. `{port}` and `{folder}` are filled in; `environment` may hold them.

    `bin` is where its command lies, when not beside this Python.
    """

    name: str
    title: str
    command: str
    libraries: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    bin: str = ""

    @property
    def folder(self) -> Path:
        return ROOT / self.bin if self.bin else Path(sys.executable).parent

    @property
    def installed(self) -> bool:
        return (self.folder / self.command.split()[0]).exists()


def _taskflow(name: str, durability: str) -> Kind:
    return Kind(
        name=name,
        title=f"taskflow serve, durability={durability}",
        command="taskflow --log-level WARNING serve --port {port}"
        f" --broker sqlite:///{{folder}}/broker.db?durability={durability}",
        libraries=("taskflow-events", "apsw", "uvicorn"),
    )


KINDS = [
    _taskflow("taskflow", "power"),
    _taskflow("taskflow-process", "process"),
    Kind(
        name="moto",
        title="moto's server",
        command="moto_server -H 127.0.0.1 -p {port}",
        libraries=("moto", "werkzeug"),
    ),
    Kind(
        name="ministack",
        title="ministack",
        command="ministack",
        libraries=("ministack", "hypercorn"),
        environment={
            "GATEWAY_PORT": "{port}",
            "BIND_HOST": "127.0.0.1",
            "LOG_LEVEL": "WARNING",
        },
    ),
    Kind(
        name="localstack",
        title="LocalStack 4.9 (localstack-core)",
        command="python -m localstack.runtime.main",
        libraries=("localstack-core",),
        environment={
            "GATEWAY_LISTEN": "127.0.0.1:{port}",
            "LOCALSTACK_VOLUME_DIR": "{folder}",
            "FILESYSTEM_ROOT": "{folder}",
            "EAGER_SERVICE_LOADING": "0",
            "SERVICES": "sqs,sns",
            "STRICT_SERVICE_LOADING": "1",
            "SKIP_SSL_CERT_DOWNLOAD": "1",
            "DISABLE_EVENTS": "1",
            "DNS_ADDRESS": "0",
            "LS_LOG": "error",
        },
        bin=".venv-bench-wire-localstack/bin",
    ),
]
BY_NAME = {kind.name: kind for kind in KINDS}


class Server:
    """One server with a fresh store, from entry to exit of the block.

    `startup` is the seconds from the command until CreateQueue was answered.
    """

    def __init__(self, kind: Kind, folder: Path | None = None) -> None:
        self.kind = kind
        self.port = free_port()
        self._kept = folder
        self.startup = 0.0

    def __enter__(self) -> Self:
        self._folder = self._kept or Path(tempfile.mkdtemp(prefix="bench-"))
        names = {"port": str(self.port), "folder": str(self._folder)}
        words = self.kind.command.format(**names).split()
        words[0] = str(self.kind.folder / words[0])
        given = {key: value.format(**names) for key, value in self.kind.environment.items()}
        log = (self._folder / "server.log").open("wb")
        started = time.monotonic()
        self._process = subprocess.Popen(
            words, cwd=self._folder, env=os.environ | given, stdout=log, stderr=log
        )
        log.close()
        try:
            self._wait_until_it_answers(started + START_WITHIN)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self.startup = time.monotonic() - started
        return self

    def _wait_until_it_answers(self, until: float) -> None:
        pause = threading.Event()
        while time.monotonic() < until:
            if self._process.poll() is not None:
                break
            request = urllib.request.Request(
                f"http://127.0.0.1:{self.port}/",
                b'{"QueueName": "first"}',
                {
                    "Content-Type": "application/x-amz-json-1.0",
                    "X-Amz-Target": "AmazonSQS.CreateQueue",
                    "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sqs/"
                    f"aws4_request, SignedHeaders=host, Signature={'0' * 64}",
                },
            )
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    answer.read()
                    return
            except (urllib.error.URLError, OSError):
                pause.wait(0.01)
        raise ServerFailed(f"{self.kind.name} did not start: {self._last_words()}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for pid in sorted(accounting.tree([self._process.pid])):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        if self._kept is None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def stop(self) -> None:
        """With SIGTERM, until it has ended."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(START_WITHIN)

    @property
    def pid(self) -> int:
        return self._process.pid

    def memory(self) -> float:
        """MB now, of all its processes, pages they share counted once."""
        return accounting.memory([self.pid])[1]

    def _last_words(self) -> str:
        """Without folders: results are published."""
        text = (self._folder / "server.log").read_text(errors="replace")
        lines = [line for line in text.splitlines() if line.strip()]
        return re.sub(r"(/[\w.+-]+)+/", "", lines[-1])[:200] if lines else "it said nothing"
