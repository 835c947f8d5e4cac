"""Waiting that holds up no event loop, nor what else the loop hands to threads."""

import asyncio
import functools
import os
from collections.abc import Callable
from contextvars import copy_context
from typing import TypeVar

from taskflow.broker import Broker
from taskflow.tasks.coroutine_patience import Patience
from taskflow.tasks.turn_over import TurnOver
from taskflow.tasks.waiting_threads import WaitingThreads

T = TypeVar("T")
AT_ONCE = 256  # coroutines of a process that wait at a time; more of them take turns


async def wait_aside(broker: Broker, patience: Patience, wait: Callable[[], T]) -> T:
    """What `wait` answers, which runs in a thread that is none of the loop's, again and again while
    it raises TurnOver. When nobody waits for it any more, `patience` says so, and the broker is
    woken."""
    call = functools.partial(copy_context().run, wait)
    while True:
        try:
            return await asyncio.wrap_future(_threads().submit(call))
        except TurnOver:
            continue
        except (asyncio.CancelledError, GeneratorExit):
            patience.give_up()
            broker.wake()
            raise


def patience() -> Patience:
    """That of a coroutine which is to wait aside."""
    return Patience(asyncio.get_running_loop(), lambda: _threads().wanted)


@functools.cache
def _threads() -> WaitingThreads:
    return WaitingThreads(AT_ONCE)


os.register_at_fork(after_in_child=_threads.cache_clear)
