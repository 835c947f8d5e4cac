"""Functions at whose bytecodes no thread is interrupted: a store's own steps."""

import sys
import threading
from collections.abc import Callable
from types import CodeType, FrameType, FunctionType
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

_codes: set[CodeType] = set()
_waiting: set[CodeType] = set()
_AWS = {"boto3", "botocore", "s3transfer", "urllib3", "certifi", "dateutil", "jmespath", "six"}
_DRIVERS = {"apsw", "psycopg", "psycopg_binary", "redis", "sqlalchemy"}
_BETWEEN = sys.stdlib_module_names | {"taskflow"} | _DRIVERS | _AWS
"""Packages of which a function goes by what called it."""
_MADE = "namedtuple_"
"""What the module of a named tuple's own functions is called, whosever it is."""


def uninterrupted(function: F) -> F:
    """From here on a thread in this function is inside, and in whatever that calls but functions of
    others: those may be interrupted. It is the function itself that is answered, and it costs
    nothing to call. Not for what waits for events (`interruptible`), nor for a generator."""
    _codes.add(cast(FunctionType, function).__code__)
    return function


def interruptible(function: F) -> F:
    """A thread in this function may be interrupted, though what called it is inside: it waits for
    an event, and does nothing else. Answers the function itself."""
    _waiting.add(cast(FunctionType, function).__code__)
    return function


# While a thread begins another one, that has its number for a moment, and would be interrupted for
# it: whoever has begun it would wait for ever for it to say so.
uninterrupted(threading.Thread.start)


def is_inside(thread: int) -> bool:
    """Whether this thread (`threading.get_ident`) is in such a function now, and not in a function
    of others that one of them has called."""
    return stands_inside(sys._current_frames().get(thread))


def stands_inside(frame: FrameType | None) -> bool:
    """As `is_inside`, of the frame that a thread is in."""
    while frame is not None:
        if frame.f_code in _codes:
            return True
        if frame.f_code in _waiting:
            return False
        package = str(frame.f_globals.get("__name__")).partition(".")[0]
        if package not in _BETWEEN and not package.startswith(_MADE):
            return False
        frame = frame.f_back
    return False
