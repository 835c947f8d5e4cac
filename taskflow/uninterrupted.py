"""Functions at whose bytecodes no thread is interrupted: a store's own steps."""

import sys
import threading
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

_codes: set[CodeType] = set()
_BETWEEN = sys.stdlib_module_names | {"taskflow", "apsw", "psycopg", "psycopg_binary"}
"""Packages of which a function goes by what called it."""


def uninterrupted(function: F) -> F:
    """From here on a thread in this function is inside, and in whatever that calls but functions of
    others: those may be interrupted. It is the function itself that is answered, and it costs
    nothing to call. Not for what waits for events, nor for a generator."""
    _codes.add(cast(FunctionType, function).__code__)
    return function


# While a thread begins another one, that has its number for a moment, and would be interrupted for
# it: whoever has begun it would wait for ever for it to say so.
uninterrupted(threading.Thread.start)


def is_inside(thread: int) -> bool:
    """Whether this thread (`threading.get_ident`) is in such a function now, and not in a function
    of others that one of them has called."""
    frame = sys._current_frames().get(thread)
    while frame is not None:
        if frame.f_code in _codes:
            return True
        if str(frame.f_globals.get("__name__")).partition(".")[0] not in _BETWEEN:
            return False
        frame = frame.f_back
    return False
