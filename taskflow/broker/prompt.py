"""Calling a verb where nobody may wait: on an event loop."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable


class WouldWait(Exception):
    """A verb that was called where nobody may wait would have to."""


Outcome = tuple[Any, Exception | None]
"""What a verb answered, or what it raised."""


@runtime_checkable
class Gathered(Protocol):
    """What a broker over a file of this machine can do beside its verbs."""

    def gathered(
        self, verbs: Sequence[Callable[[], Any]], patience: float | None = None
    ) -> tuple[list[Outcome], Callable[[], None] | None]:
        """Call what calls one verb each, of traffic or one that looks, in one transaction of a
        file, and wait for no disk to sync. An error of one undoes that one and is its outcome; one
        that is WouldWait or FileReplaced was not done, and may be called again in a thread that can
        wait.

        With the outcomes comes what must be called, in such a thread, before anybody is told of
        any: it waits until what was stored is as safe as the verbs promise. None when it is. It
        raises FileReplaced when what was stored is gone.

        Raises WouldWait when a lock is not to be had within `patience` seconds; None means to wait
        a moment at most, and for nothing else, and to do no more than for a few rows each. Then,
        and when it raises anything else, nothing was done; over several files some of it may have
        been, when it was an error of the disk.
        """
        ...
