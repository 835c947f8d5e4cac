"""Where a peer keeps its messages: a fresh one for every sample, on a private port."""

import os
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path

REDIS = ("redis-server", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
START_WITHIN = 20.0


class StoreMissing(Exception):
    """The store's server is not installed, or did not start."""


class Store:
    """A file needs no server; the servers below are this with one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def address(self) -> str:
        """What a peer is given as BENCH_STORE."""
        return str(self._folder / "store.db")

    @property
    def pids(self) -> list[int]:
        """The server's process, without its children."""
        return [self._server.pid] if self._server else []

    def start(self) -> None:
        """Answers when the store can be used. Raises StoreMissing."""

    def stop(self) -> None:
        if self._server:
            self._server.kill()
            self._server.wait()

    def _serve(self, command: list[str], user: str | None = None) -> None:
        with (self._folder / "store.log").open("wb") as log:
            self._server = subprocess.Popen(
                command, cwd=self._folder, stdout=log, stderr=log, user=user, group=user
            )

    def _wait_for_port(self) -> None:
        pause = threading.Event()
        for _ in range(int(START_WITHIN / 0.02)):
            if self._server and self._server.poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            pause.wait(0.02)
        self.stop()
        raise StoreMissing(f"{type(self).__name__} did not start: {self._last_words()}")

    def _last_words(self) -> str:
        lines = (self._folder / "store.log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


class Redis(Store):
    """redis-server without any persistence: the fastest it can be."""

    @property
    def address(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        if shutil.which(REDIS[0]) is None:
            raise StoreMissing("redis-server is not installed")
        self.port = free_port()
        self._serve([*REDIS, "--port", str(self.port)])
        self._wait_for_port()


class Postgres(Store):
    """PostgreSQL as initdb sets it up: every commit is on disk before it is answered."""

    @property
    def address(self) -> str:
        return f"postgresql://bench@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        binaries = postgres_binaries()
        user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
        data = self._folder / "postgres"
        data.mkdir()
        if user:
            shutil.chown(data, user, user)
            for folder in (self._folder, self._folder.parent):
                folder.chmod(0o755)
        initdb = [f"{binaries}/initdb", "-D", str(data), "-U", "bench", "-A", "trust", "--no-sync"]
        done = subprocess.run(
            initdb, cwd=data, capture_output=True, timeout=60, user=user, group=user, check=False
        )
        if done.returncode:
            raise StoreMissing(f"initdb: {done.stderr.decode(errors='replace').strip()[-200:]}")
        self.port = free_port()
        options = ["-p", str(self.port), "-k", str(data), "-c", "listen_addresses=127.0.0.1"]
        self._serve([str(binaries / "postgres"), "-D", str(data), *options], user)
        self._wait_for_port()

    def stop(self) -> None:
        if self._server:
            self._server.send_signal(signal.SIGINT)  # fast shutdown: it ends its own children
            try:
                self._server.wait(10)
            except subprocess.TimeoutExpired:
                self._server.send_signal(signal.SIGQUIT)
                self._server.wait(10)


STORES: dict[str, type[Store]] = {"file": Store, "redis": Redis, "postgres": Postgres}


def postgres_binaries() -> Path:
    """The folder that holds initdb; Debian does not put it on the path."""
    found = [Path(path).parent for path in [shutil.which("initdb")] if path]
    found += sorted(path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        raise StoreMissing("PostgreSQL is not installed")
    return found[-1]


def free_port() -> int:
    """A TCP port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
