"""Hearing what other processes ring: LISTEN on a connection of its own."""

import logging
import math
import os
import select
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

import msgspec
import psycopg
from psycopg import sql

from taskflow.errors import BrokerUnavailable
from taskflow.payload import UNREADABLE
from taskflow.uninterrupted import interruptible

_read = msgspec.json.Decoder(list[str]).decode

log = logging.getLogger("taskflow.store")


class Ear:
    """One thread waits at a time; any may wake it. When the connection is lost, nothing is heard,
    and who waits looks for itself now and then; the next one to listen opens a new one."""

    def __init__(
        self,
        open_connection: Callable[[], psycopg.Connection[Any]],
        channel: str,
        is_own: Callable[[int], bool],
        lost: Callable[[], None],
    ) -> None:
        """`lost` is called when the connection is: the server may be another one now."""
        self._open = open_connection
        self._channel = channel
        self._is_own = is_own
        self._lost = lost
        self._complained = False
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None
        self._woken, self._waker = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._waker, False)
        self._closed = False
        self._hearing = False  # somebody is in `hear`: the pipe stays open

    def listen(self) -> None:
        """Hear from now on; what a lost connection missed rings nobody. Never raises: without an
        ear it is slower, not wrong."""
        if self._connection is not None or self._closed:
            return
        with self._lock:
            if self._connection is not None or self._closed:
                return
            try:
                connection = self._open()
                connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
            except (psycopg.Error, BrokerUnavailable) as error:
                log.debug("cannot listen: %s", error)
                return
            self._connection = connection

    def hears(self) -> bool:
        """Whether it does."""
        return self._connection is not None

    def hear(self, timeout: float | None) -> Collection[str] | None:
        """As `Store.hear`."""
        with self._lock:
            if self._closed:
                return ()
            self._hearing = True
        try:
            return self._hear(timeout)
        finally:
            with self._lock:
                self._hearing = False
                if self._closed:
                    self._close_pipe()

    def _hear(self, timeout: float | None) -> Collection[str] | None:
        connection = self._connection
        if connection is None:
            return ()
        if heard := self._read(connection):
            return heard
        try:
            waiting = select.poll()  # `select` refuses files numbered above 1023
            waiting.register(connection.fileno(), select.POLLIN)
            waiting.register(self._woken, select.POLLIN)
            found = _wait(waiting, None if timeout is None else math.ceil(timeout * 1000))
            ready = [file for file, _ in found]
        except (OSError, ValueError, psycopg.Error):
            self._lose(connection)
            return ()
        if self._woken in ready:
            self._drain()
            return ()
        if not ready:
            return None
        return self._read(connection)

    def _read(self, connection: psycopg.Connection[Any]) -> Collection[str]:
        """What has arrived."""
        heard: set[str] = set()
        try:
            connection.pgconn.consume_input()
            while (notice := connection.pgconn.notifies()) is not None:
                if not self._is_own(notice.be_pid):
                    heard.update(self._names_in(notice.extra))
        except psycopg.Error:
            self._lose(connection)
        return heard

    def _names_in(self, text: bytes) -> Collection[str]:
        """What a notice names; nothing in one that somebody else has sent, on a channel of ours."""
        try:
            return _read(text)
        except UNREADABLE:
            if not self._complained:
                self._complained = True
                log.warning(
                    "a NOTIFY on %s is none of taskflow's, and is ignored, as others will be",
                    self._channel,
                )
            return ()

    def _drain(self) -> None:
        with suppress(BlockingIOError):
            while os.read(self._woken, 4096):
                pass

    def _lose(self, connection: psycopg.Connection[Any]) -> None:
        """The connection is gone."""
        with self._lock:
            if self._connection is connection:
                self._connection = None
        connection.close()
        self._lost()

    def wake(self) -> None:
        """Let who is in `hear` return; if nobody is, the next one at once."""
        with self._lock:
            self._wake()

    def _wake(self) -> None:
        with suppress(OSError):  # it is full: somebody will be woken
            os.write(self._waker, b"\0")

    def close(self) -> None:
        """Hear nothing any more."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            connection, self._connection = self._connection, None
            if self._hearing:
                self._wake()
            else:
                self._close_pipe()
        if connection is not None:
            connection.close()

    def _close_pipe(self) -> None:
        os.close(self._waker)
        os.close(self._woken)
        self._waker = self._woken = -1  # others may have these numbers now


@interruptible
def _wait(files: select.poll, milliseconds: int | None) -> list[tuple[int, int]]:
    return files.poll(milliseconds)
