"""Calling a verb where nobody may wait: on an event loop."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

T = TypeVar("T")


class WouldWait(Exception):
    """A verb that was called where nobody may wait would have to."""


class PartlyUnsafe(Exception):
    """Of what was committed in several files some is not known to be safe: `errors` says for each
    outcome why, or None."""

    def __init__(self, errors: "Sequence[Exception | None]") -> None:
        super().__init__(next(str(one) for one in errors if one is not None))
        self.errors = errors


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
        raises FileReplaced when what was stored is gone, and PartlyUnsafe when that, or another
        error, is not that of all of several verbs.

        Raises WouldWait when a lock is not to be had within `patience` seconds; None means to wait
        a moment at most, and for nothing else, and to do no more than for a few rows each. Then,
        and when it raises anything else, nothing was done; over several files some of it may have
        been, when it was an error of the disk.
        """
        ...


def at_once(broker: Gathered, verb: Callable[[], T]) -> tuple[T, Callable[[], None] | None]:
    """Call one verb that way, alone: its answer, and what must be called before anybody is told.
    Raises what the verb raises, and WouldWait or FileReplaced where it was not done."""
    ((answer, error),), wait = broker.gathered([verb])
    if error is not None:
        raise error
    return cast(T, answer), wait
