"""A disk that can be made full: a small tmpfs where one may mount, else a limit of pages."""

import contextlib
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import apsw

from taskflow.broker import Broker
from taskflow.stores.sqlite.store import SqliteStore

SIZE_MB = 256
FLAG = "disk-is-full"
BALLAST = "ballast"


class Disk:
    """The folder of the broker's files. `how` says in words how it is made full."""

    def __init__(self, folder: Path, files: int = 1) -> None:
        self._flag = folder / FLAG
        self.path = folder / "disk"
        self.path.mkdir()
        options = ["-t", "tmpfs", "-o", f"size={SIZE_MB}m", "taskflow-chaos", str(self.path)]
        mount = shutil.which("mount")
        done = mount and subprocess.run([mount, *options], capture_output=True, check=False)
        self.mounted = bool(done) and done.returncode == 0  # type: ignore[union-attr]
        self.address = f"sqlite:///{self.path}/broker.db?shards={files}"
        self.how = f"tmpfs of {SIZE_MB} MiB" if self.mounted else "PRAGMA max_page_count"

    def fill(self) -> None:
        """No byte more fits from now on, in the WAL either: it is emptied first, since it would
        go on in the room that it has."""
        connection = apsw.Connection(str(self.path / "broker.db"))
        connection.set_busy_timeout(5000)
        with contextlib.suppress(apsw.BusyError):
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        connection.close()
        if not self.mounted:
            self._flag.touch()
            return
        with (self.path / BALLAST).open("wb", buffering=0) as ballast:
            for size in (1024 * 1024, 4096):
                with contextlib.suppress(OSError):
                    while ballast.write(bytes(size)) == size:
                        pass

    def free(self) -> None:
        """Room again."""
        self._flag.unlink(missing_ok=True)
        (self.path / BALLAST).unlink(missing_ok=True)

    def close(self) -> None:
        if self.mounted:
            subprocess.run(["umount", str(self.path)], check=False)


def obey_page_limit(folder: Path, broker: Broker) -> None:
    """Where nothing can be mounted: let a file not grow while the flag is there.

    The limit belongs to a connection, so every process sets its own, and must reach for it.
    """
    store: Any = getattr(broker, "store", None)
    if (folder / "disk").is_mount() or not isinstance(store, SqliteStore):
        return
    never, full = threading.Event(), False
    while True:
        wanted = (folder / FLAG).exists()
        if wanted != full:
            full = wanted
            with store._database._lock:
                store._database.connection.pragma("max_page_count", 1 if full else 1_000_000_000)
        never.wait(0.1)
