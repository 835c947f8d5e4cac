"""One sample's surroundings: a peer with a fresh store, its processes, and their end."""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks import accounting, probe, sender
from benchmarks.catalog import Peer
from benchmarks.stores import STORES
from benchmarks.tree import ROOT

LOOK_EVERY = 0.002
SETTLE = 0.2  # seconds after the last handler, so that the last acknowledgements are counted


class BenchmarkError(Exception):
    """A peer did not do what was asked, with the end of its log."""


class Session:
    """Starts the store on entry, ends every process it started on exit (by pid).

    `within`: seconds that all of it may take. `keep`: the peer stores the results of jobs.
    """

    def __init__(self, peer: Peer, within: float = 180.0, keep: bool = False) -> None:
        self.peer = peer
        self._keep = keep
        self._deadline = time.monotonic() + within
        self._workers: list[subprocess.Popen[bytes]] = []
        self._pause = threading.Event()

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="bench-"))
        self._notes = self._folder / "notes"
        self._notes.mkdir()
        self._records = probe.Records(self._notes)
        self._log = self._folder / "worker.log"
        self._store = STORES[self.peer.store](self._folder)
        try:
            self._store.start()
            self._address = self.peer.address.format(store=self._store.address)
            self.send("prepare")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        ours = accounting.tree(worker.pid for worker in self._workers) if self._workers else set()
        for pid in sorted(ours):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for worker in self._workers:
            worker.wait()
        self._store.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    # ---- processes --------------------------------------------------------------------------
    def send(self, verb: str, *arguments: object) -> dict[str, Any]:
        """Run the peer's sender to its end; its sample, with the store's CPU seconds."""
        before = accounting.cpu_seconds(self._store.pids)
        (sample,) = self.send_at_once(1, verb, *arguments)
        return sample | {"store_cpu": accounting.cpu_seconds(self._store.pids) - before}

    def send_at_once(self, count: int, verb: str, *arguments: object) -> list[dict[str, Any]]:
        """Run so many senders side by side, to the end of all; their samples."""
        command = [sys.executable, "-m", "benchmarks.sender", self.peer.module, verb]
        processes = [
            subprocess.Popen(
                [*command, *map(str, arguments)],
                cwd=self._folder,
                env=self._environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(count)
        ]
        try:
            ended = [one.communicate(timeout=self._left()) for one in processes]
        except BaseException as error:
            for one in processes:
                one.kill()
                one.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                raise BenchmarkError(f"sender: no end of {verb} in time") from error
            raise
        for one, (_, errors) in zip(processes, ended, strict=True):
            if one.returncode:
                raise BenchmarkError(f"sender: {_last_line(errors)}")
        return [json.loads(output) if output else {} for output, _ in ended]

    def start(self, commands: list[str]) -> float:
        """Start workers; answers when, in monotonic seconds."""
        started = time.monotonic()
        for n, command in enumerate(commands, 1):
            words = shlex.split(command.format(n=n, store=self._address))
            words[0] = str(Path(sys.executable).parent / words[0])
            with self._log.open("ab") as log:
                self._workers.append(
                    subprocess.Popen(
                        words, cwd=self._folder, env=self._environment(), stdout=log, stderr=log
                    )
                )
        return started

    def _environment(self) -> dict[str, str]:
        return (
            os.environ
            | {
                "BENCH_STORE": self._address,
                probe.VARIABLE: str(self._notes),
                sender.VARIABLE: "kept" if self._keep else "no",
                "PYTHONPATH": str(ROOT),
            }
            | dict(self.peer.options)
        )

    # ---- watching ---------------------------------------------------------------------------
    def wait_for(self, runs: int) -> None:
        """Return when so many handlers have run. Raises BenchmarkError when they never will."""
        while (seen := self._records.count()) < runs:
            for worker in self._workers:
                if worker.poll() is not None:
                    raise BenchmarkError(f"worker ended: {self._last_words()}")
            if self._left() <= 1:
                raise BenchmarkError(f"{seen} of {runs} handled in time: {self._last_words()}")
            self._pause.wait(LOOK_EVERY)

    def rest(self, seconds: float) -> None:
        self._pause.wait(seconds)

    def records(self) -> list[probe.Record]:
        return self._records.all()

    def cpu(self) -> tuple[float, float]:
        """CPU seconds so far of the workers and of the store."""
        return accounting.cpu_seconds(self.worker_pids), accounting.cpu_seconds(self._store.pids)

    def peak_memory(self) -> float:
        """MB, workers and store."""
        return accounting.peak_memory([*self.worker_pids, *self._store.pids])

    @property
    def worker_pids(self) -> list[int]:
        return [worker.pid for worker in self._workers]

    def _left(self) -> float:
        return max(1.0, self._deadline - time.monotonic())

    def _last_words(self) -> str:
        return _last_line(self._log.read_text(errors="replace") if self._log.exists() else "")


def _last_line(text: str) -> str:
    """Without folders: results are published."""
    lines = [line for line in text.splitlines() if line.strip()]
    return re.sub(r"(/[\w.+-]+)+/", "", lines[-1])[:200] if lines else "it said nothing"
