"""Waiting that holds up no event loop, nor what else the loop hands to threads."""

import asyncio
import functools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from taskflow.broker import Broker

T = TypeVar("T")
AT_ONCE = 256  # coroutines of a process that wait at a time; more of them take turns


async def wait_aside(
    broker: Broker, wait: Callable[[], T], given_up: threading.Event | None = None
) -> T:
    """What `wait` answers, which runs in a thread that is none of the loop's. `given_up` is set
    when nobody waits for it any more, and the broker is woken: `wait`, whose `stop` it is, ends
    then, without which the program could not."""
    call = functools.partial(copy_context().run, wait)
    try:
        return await asyncio.get_running_loop().run_in_executor(_threads(), call)
    except asyncio.CancelledError:
        if given_up is not None:
            given_up.set()
            broker.wake()
        raise


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="taskflow-wait")


os.register_at_fork(after_in_child=_threads.cache_clear)
