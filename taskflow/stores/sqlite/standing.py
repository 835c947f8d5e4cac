"""Where a thread stands when it forks: in a handler of signals it may stand anywhere."""

import sys
from collections.abc import Collection
from types import CodeType, FrameType


def stands_in(methods: Collection[CodeType], owners: Collection[object]) -> bool:
    """Whether this thread is within one of these methods, called of one of `owners`: to note it at
    each call would cost each message something, and be too late for a signal at its first step."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code in methods and any(frame.f_locals["self"] is one for one in owners):
            return True
        frame = frame.f_back
    return False
