"""Wakes waiting receivers in other processes: a Unix datagram socket each, beside the file.

A ring is a hint: it may be lost (receivers look again every `poll_interval`), and it may come
for nothing.
"""

import contextlib
import errno
import logging
import os
import socket
import stat
import threading
from collections.abc import Collection
from pathlib import Path

from taskflow.clock import SystemClock
from taskflow.stores.sqlite.ear import Ear
from taskflow.stores.sqlite.identity import TICK

log = logging.getLogger("taskflow.store")

_CLOCK = SystemClock()  # of the file system, whatever the broker's may be

_PATH_LIMIT = 100  # sun_path holds 108 bytes on Linux, 104 on macOS
LOOK_AGAIN = 64  # publishes between two looks whether the folder was replaced under its name
_OPEN_FILES = "/proc/self/fd"  # Linux's short names for long paths; elsewhere those are polled


class Doorbell:
    """The bells beside one broker file. Ringing never blocks and never fails."""

    def __init__(self, database: Path) -> None:
        self.database = database
        """The file beside which they hang."""
        self._folder = Path(f"{database.absolute()}-bells")
        self._lock = threading.RLock()
        self._own = ""
        self._folder_name = str(self._folder)
        self._seen: tuple[int, list[tuple[str, str]]] = (0, [])  # since when, who and where
        self._ear: Ear | None = None
        self._sender: socket.socket | None = None
        self._folder_file = -1
        self._asked = 0
        self._closed = False

    def in_child(self) -> "Doorbell":
        """The bells for a fork of the process that has these, whose own one stays where it is."""
        if self._ear is not None:
            self._ear.abandon()
        if self._sender is not None:
            self._sender.close()
        if self._folder_file >= 0:  # (a thread that is not here may hold the lock)
            os.close(self._folder_file)
        return Doorbell(self.database)

    def ring(self, queues: Collection[str]) -> bool:
        """Tell every listener beside this file, but the own one. False when none can be there, as
        long as the folder of the file has no new entry."""
        others = self._others()
        if not others:
            return others is not None
        if self._sender is None:
            try:
                self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            except OSError:  # this process has too many files open: they look for themselves
                return True
            self._sender.setblocking(False)
        text = "\n".join(queues).encode()
        for name, address in others:
            try:
                self._sender.sendto(text, address)
            except BlockingIOError:
                pass  # it has rings waiting already
            except ConnectionRefusedError:  # its process was killed
                with contextlib.suppress(OSError):
                    (self._folder / name).unlink()
            except OSError:
                pass  # it left just now
        return True

    def _others(self) -> list[tuple[str, str]] | None:
        """Who has a bell here; None when there is no folder of bells. Asked at each publish: of an
        open folder that costs a third."""
        try:
            if self._folder_file < 0 and not self._enter_folder():
                return None
            found = os.fstat(self._folder_file)
            self._asked += 1
            if not found.st_nlink or (self._asked % LOOK_AGAIN == 0 and self._is_another(found)):
                self._leave_folder()
                return self._others()
            if found.st_mtime_ns != self._seen[0]:
                names = [bell.name for bell in self._folder.iterdir()]
                others = [(name, self._address(name)) for name in names if name != self._own]
                # A folder that changes again within the same tick of the system's clock shows the
                # same time: it is listed once more when that tick is surely over.
                settled = _CLOCK.now() * 1e9 - found.st_mtime_ns > TICK
                self._seen = (found.st_mtime_ns if settled else 0, others)
        except OSError:
            return []
        return self._seen[1]

    def _is_another(self, found: os.stat_result) -> bool:
        """Whether the name means another folder by now."""
        try:
            return not os.path.samestat(found, self._folder.stat())
        except OSError:
            return True

    def _enter_folder(self) -> bool:
        with self._lock:
            if self._closed:
                return False
            if self._folder_file < 0 and os.access(self._folder_name, os.F_OK):
                self._folder_file = os.open(self._folder_name, os.O_RDONLY)
            return self._folder_file >= 0

    def _leave_folder(self) -> None:
        with self._lock:
            if self._folder_file >= 0:
                os.close(self._folder_file)
            self._folder_file = -1
            self._seen = (0, [])  # short names of long paths are those of that file

    def listen(self) -> None:
        """Hang up a bell, once: what is rung from now on is kept for `hear`."""
        if self._ear is None:
            with self._lock:
                if self._ear is None and not self._closed:
                    self._hang_up()

    def _hang_up(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._check_folder()
            name = f"{os.getpid()}-{os.urandom(4).hex()}"
            self._own = name  # before it can be found there
            self._ear = Ear(self._address(name))
        except OSError as error:
            log.warning(
                "no doorbell in %s (%s): other processes are noticed by polling",
                self._folder,
                error,
            )

    def hears(self) -> bool:
        """Whether a bell hangs."""
        return self._ear is not None

    def hear(self, timeout: float | None) -> Collection[str] | None:
        """Wait for a ring, as `Ear.hear`; at once over without a bell."""
        ear = self._ear
        return () if ear is None else ear.hear(timeout)

    def wake(self) -> None:
        """Let who hears return."""
        if (ear := self._ear) is not None:
            ear.wake()

    def _check_folder(self) -> None:
        """Raise OSError for a folder that somebody else made, who would hear the rings."""
        found = self._folder.stat(follow_symlinks=False)
        owner = self._folder.parent.stat().st_uid
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (0, os.geteuid(), owner):
            raise PermissionError(errno.EPERM, "it belongs to somebody else")
        if found.st_mode & 0o002:
            raise PermissionError(errno.EPERM, "everybody may write it")

    def _address(self, name: str) -> str:
        path = f"{self._folder}/{name}"
        if len(os.fsencode(path)) <= _PATH_LIMIT:
            return path
        self._enter_folder()  # a long path has a short name there
        return f"{_OPEN_FILES}/{self._folder_file}/{name}"

    def take_down(self) -> None:
        """Take the own bell down, until the next `listen`; who hears returns."""
        with self._lock:
            ear, self._ear = self._ear, None
            if ear is not None:
                with contextlib.suppress(OSError):
                    (self._folder / self._own).unlink(missing_ok=True)
        if ear is not None:
            ear.close()

    def close(self) -> None:
        """Take the own bell down, for good."""
        with self._lock:
            self._closed = True
        self.take_down()
        if self._sender is not None:
            self._sender.close()
        self._leave_folder()
