"""Ending a worker process in which handlers, or threads that they started, may still run."""

import atexit
import logging
import os
import sys
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import TYPE_CHECKING

from taskflow.later import Later

if TYPE_CHECKING:
    from concurrent.futures import thread as executors
else:
    executors = Later("concurrent.futures.thread")

FAREWELL = 5.0  # seconds for what must be heard at the end


def threads_since(before: Collection[threading.Thread]) -> list[threading.Thread]:
    """Threads for which the interpreter would wait at its end, without end if need be: those of
    executors, too, though they may call themselves daemons."""
    return [
        one
        for one in threading.enumerate()
        if one not in before and (not one.daemon or one in executors._threads_queues)
    ]


def leave(code: int, seconds: float, stragglers: Collection[threading.Thread] = ()) -> None:
    """End the process, having waited `seconds` at most for `stragglers`. What was printed is
    written, and who registered with atexit (error reporters, telemetry) is heard."""
    if stragglers:
        _within(max(1.0, seconds), lambda: _end(stragglers))
    _within(FAREWELL, _farewell)
    os._exit(code)


def _within(seconds: float, act: Callable[[], None]) -> None:
    apart = threading.Thread(target=act, name="taskflow-farewell", daemon=True)
    apart.start()
    apart.join(seconds)


def _end(stragglers: Collection[threading.Thread]) -> None:
    with suppress(Exception):
        executors._python_exit()  # idle threads of executors end, busy ones are waited for
    for one in stragglers:
        one.join()


def _farewell() -> None:
    with suppress(Exception):
        atexit._run_exitfuncs()
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
