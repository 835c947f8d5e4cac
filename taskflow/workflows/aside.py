"""Threads for what would hold up others; none where everything is to happen in one order."""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

one_by_one: ContextVar[bool] = ContextVar("taskflow_one_by_one", default=False)
"""Whether workflows that run in this context do everything in the thread that they run in, one
after the other: in a simulation one seed is one history."""


async def aside(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call it without holding up the event loop."""
    if one_by_one.get():
        return function(*args, **kwargs)
    return await asyncio.to_thread(function, *args, **kwargs)
