"""Calling a verb where nobody may wait: on an event loop."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

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


Outcome = tuple[Any, Exception | None]
"""What a verb answered, or what it raised."""


@runtime_checkable
class Gathered(Protocol):
    """What such a broker can do with several verbs at a time."""

    def gathered(
        self, verbs: Sequence[Callable[[], Any]], patience: float | None = None
    ) -> tuple[list[Outcome], Callable[[], None] | None]:
        """Call what calls verbs as for `Prompt`, each by itself, in one transaction of a file: an
        error of one undoes that one and is its outcome; one that is WouldWait or FileReplaced was
        not done, and may be called again where it can wait. With the outcomes comes what must be
        called before anybody is told of any, as there.

        Raises WouldWait when a lock is not to be had within `patience` seconds; None means to wait
        a moment at most, and for nothing else. Then, and when it raises anything else, nothing was
        done; over several files some of it may have been, when it was an error of the disk.
        """
        ...
