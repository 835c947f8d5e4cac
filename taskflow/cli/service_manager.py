"""What systemd is told of a worker or a server: ready, alive, stopping (units of `Type=notify`).

https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

import logging
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from taskflow.cli.repeating import every
from taskflow.clock import Clock
from taskflow.text import printable
from taskflow.worker.health import Problems

log = logging.getLogger("taskflow.worker")

LOOK_EVERY = 1.0  # seconds, or a third of the watchdog's time where that is shorter
PATIENCE = 1.0  # seconds for a manager that does not read


class ServiceManager:
    """Tells the manager at a socket what `problems` say. A manager that cannot be told is logged,
    once, and nothing else happens."""

    def __init__(self, address: str, watched: bool, problems: Problems) -> None:
        # A name that begins with @ is in the abstract namespace of Linux.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watched = watched
        self._problems = problems
        self._ready = False
        self._status = ""
        self._unheard = False

    def look(self) -> None:
        """Tell what has changed, and that this process is alive, if it is."""
        dead, unready = self._problems()
        said = []
        if not self._ready and not unready:
            self._ready = True
            said.append("READY=1")
        if self._watched and not dead:
            said.append("WATCHDOG=1")
        status = printable("; ".join(unready)) or "working"
        if status != self._status:
            self._status = status
            said.append(f"STATUS={status}")
        if said:
            self._tell("\n".join(said))

    def stopping(self) -> None:
        """A stop has begun."""
        self._tell("STOPPING=1")

    def _tell(self, text: str) -> None:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
                told.settimeout(PATIENCE)
                told.sendto(text.encode(), self._address)
        except OSError as error:
            if not self._unheard:
                log.warning("the service manager at NOTIFY_SOCKET was not told: %s", error)
            self._unheard = True


@contextmanager
def managed(
    problems: Problems, clock: Clock, environment: Mapping[str, str] = os.environ
) -> Iterator[Callable[[], None]]:
    """Tell the service manager meanwhile, if one started this process; answers what to call when a
    stop begins."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        yield lambda: None
        return
    watchdog = _watchdog(environment)
    manager = ServiceManager(address, watchdog is not None, problems)
    end = every(min(LOOK_EVERY, (watchdog or LOOK_EVERY * 3) / 3), manager.look, clock.wait)
    try:
        yield manager.stopping
    finally:
        end()


def _watchdog(environment: Mapping[str, str]) -> float | None:
    """Seconds after which the manager gives up on a silent process; None when it never does."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    micros = environment.get("WATCHDOG_USEC", "")
    return int(micros) / 1e6 if micros.isdecimal() and int(micros) else None
