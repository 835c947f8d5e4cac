"""SIGTERM, SIGINT and SIGHUP: the first stops gracefully, the second at once."""

import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

log = logging.getLogger("taskflow.worker")


class Stoppable(Protocol):
    """A pool, or a supervisor of several."""

    def stop(self) -> None:
        """Finish what runs."""
        ...

    def stop_now(self) -> None:
        """Do not wait."""
        ...


@contextmanager
def signals_to(target: Stoppable, first: Callable[[], None] = lambda: None) -> Iterator[list[int]]:
    """Stop the target on SIGTERM, SIGINT and SIGHUP; answers the list of signals seen so far.
    `first` is called when the first comes.

    A terminal that goes away may send SIGHUP twice, which is no second signal; under `nohup` it
    stays ignored.
    A thread acts on them, not the signal handler: the main thread may hold the target's locks.
    """
    seen: list[int] = []
    read, write = socket.socketpair()
    write.setblocking(False)

    def listen() -> None:
        while number := read.recv(1)[0]:
            if number == signal.SIGHUP and seen:
                continue
            seen.append(number)
            if len(seen) == 1:
                log.info("%s: finishing what runs", signal.Signals(number).name)
                first()
                target.stop()
            else:
                log.info("%s: not waiting", signal.Signals(number).name)
                target.stop_now()

    def nothing(number: int, frame: object) -> None:
        """Python only writes to the wake-up descriptor for signals that have a handler."""

    numbers = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        numbers.remove(signal.SIGHUP)
    before = {number: signal.signal(number, nothing) for number in numbers}
    descriptor = signal.set_wakeup_fd(write.fileno())
    thread = threading.Thread(target=listen, name="taskflow-signals", daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        signal.set_wakeup_fd(descriptor)
        for number, handler in before.items():
            signal.signal(number, handler)
        write.send(b"\0")
        thread.join()
        read.close()
        write.close()
