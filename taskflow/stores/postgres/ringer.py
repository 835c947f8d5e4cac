"""Ringing other processes: NOTIFY, after the commit, from a thread of its own.

Inside of a transaction it would hold a lock of the whole server until that is on disk, and no two
publishes could wait for the disk together.
"""

import json
import logging
import threading
from collections.abc import Callable, Collection
from typing import Any

import psycopg

from taskflow.clock import Clock
from taskflow.errors import BrokerUnavailable

log = logging.getLogger("taskflow.store")

REST = 0.005
"""Seconds between two rings: what comes meanwhile rings together."""
LONGEST = 7000
"""Bytes of a notice; the server takes 8000."""


class Ringer:
    """Thread-safe. What cannot be rung is not: others look now and then by themselves."""

    def __init__(
        self, open_connection: Callable[[], psycopg.Connection[Any]], channel: str, clock: Clock
    ) -> None:
        self._open = open_connection
        self._channel = channel
        self._clock = clock
        self._some = threading.Condition()
        self._names: set[str] = set()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._connection: psycopg.Connection[Any] | None = None
        self._own = 0  # the number of its backend; an older one may be another's by now

    def ring(self, names: Collection[str]) -> None:
        """Ring these soon."""
        if not names:
            return
        with self._some:
            if self._closed:
                return
            self._names.update(names)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="taskflow-ringer", daemon=True
                )
                self._thread.start()
            self._some.notify()

    def is_own(self, backend: int) -> bool:
        """Whether a notice of this backend was rung here: who is here knows."""
        return backend == self._own

    def _run(self) -> None:
        while True:
            with self._some:
                while not self._names and not self._closed:
                    self._some.wait()
                if not self._names:
                    break
                names, self._names = self._names, set()
            self._send(sorted(names))
            with self._some:
                if not self._closed:
                    self._some.wait_for(lambda: self._closed, REST)
        if self._connection is not None:
            self._connection.close()

    def _send(self, names: list[str]) -> None:
        try:
            if self._connection is None or self._connection.closed:
                self._connection = self._open()
                self._own = self._connection.info.backend_pid
            for text in _notices(names):
                self._connection.execute("SELECT pg_notify($1, $2)", (self._channel, text))
        except (psycopg.Error, BrokerUnavailable) as error:
            log.debug("cannot ring: %s", error)
            if self._connection is not None:
                self._connection.close()

    def close(self) -> None:
        """Ring what is left, and end."""
        with self._some:
            self._closed = True
            self._some.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(5.0)


def _notices(names: list[str]) -> list[str]:
    """The names, in as few notices as they fit."""
    notices: list[list[str]] = [[]]
    size = 0
    for name in names:
        cost = len(json.dumps(name)) + 2
        if size + cost > LONGEST and notices[-1]:
            notices.append([])
            size = 0
        notices[-1].append(name)
        size += cost
    return [json.dumps(one) for one in notices]
