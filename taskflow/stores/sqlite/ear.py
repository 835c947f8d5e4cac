"""Where the rings of other processes arrive in this one: a bound datagram socket, and its wait."""

import contextlib
import math
import select
import socket
import threading

from taskflow.uninterrupted import interruptible


class Ear:
    """One thread at a time is in `hear`; any may `wake` it.

    What was rung while nobody heard is kept by the system, up to some datagrams; senders drop what
    does not fit. So who finds old rings here must look again at what it waits for, as it must
    anyway: then what was dropped meanwhile is seen, too.
    """

    def __init__(self, address: str) -> None:
        """Raises OSError when no socket can be bound there."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._socket.bind(address)
            self._socket.setblocking(False)
            self._woken, self._waker = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        except BaseException:
            self._socket.close()
            raise
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._woken_file = self._woken.fileno()
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._poll.register(self._woken, select.POLLIN)
        self._hearing = threading.RLock()
        self._waking = threading.RLock()  # no file is closed under who writes into it
        self._closed = False

    def hear(self, timeout: float | None) -> list[str] | None:
        """Wait for a ring; answers what it names. Empty when it was woken, None when `timeout`
        seconds passed first (to the millisecond, rounded up)."""
        with self._hearing:
            if self._closed:
                return []
            if rung := self._read_all():
                return rung
            ready = self._wait(None if timeout is None else math.ceil(timeout * 1000))
            if not ready:
                return None
            for file, _ in ready:
                if file == self._woken_file:
                    with contextlib.suppress(OSError):
                        while self._woken.recv(1):
                            pass
                else:
                    rung += self._read()
            return rung

    @interruptible
    def _wait(self, milliseconds: int | None) -> list[tuple[int, int]]:
        return self._poll.poll(milliseconds)

    def _read_all(self) -> list[str]:
        found: list[str] = []
        while some := self._read():
            found += some
        return found

    def _read(self) -> list[str]:
        """What one ring names; nothing when there is none."""
        try:
            return self._socket.recv(65536).decode(errors="replace").split("\n")
        except OSError:
            return []

    def wake(self) -> None:
        """Let who hears return; if nobody does, the next one at once."""
        with self._waking, contextlib.suppress(OSError):  # it is woken already, or closed
            self._waker.send(b"\0")

    def close(self) -> None:
        """Who hears returns, and so does everybody from now on."""
        self._closed = True
        self.wake()
        with self._hearing, self._waking:
            self.abandon()

    def abandon(self) -> None:
        """Close the files and nothing else: in a fork, where a thread that is not here may hold the
        locks."""
        for opened in (self._socket, self._woken, self._waker):
            opened.close()
