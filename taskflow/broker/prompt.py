"""Calling a verb where nobody may wait: on an event loop."""

from collections.abc import Callable
from typing import Protocol, TypeVar, runtime_checkable

T = TypeVar("T")


class WouldWait(Exception):
    """A verb that was called by `at_once` would have to wait."""


@runtime_checkable
class Prompt(Protocol):
    """What a broker, or a store, over a file of this machine can do beside its verbs."""

    def at_once(self, verb: Callable[[], T]) -> tuple[T, Callable[[], None] | None]:
        """Call what calls one verb of traffic, or one that looks, and wait for no lock and no
        disk to sync: raises WouldWait instead, and where there is more to do than for a few rows.
        Then nothing was stored, lent or settled, and it may be called again in a thread that can
        wait.

        With its answer comes what must be called, in such a thread, before anybody is told: it
        waits until what was stored is as safe as the verb promises. None when it is. FileReplaced
        means that nothing was stored.
        """
        ...
