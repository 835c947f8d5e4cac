"""Signals that come while a process forks: handled when it has forked."""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

HELD = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
"""Those whose handlers often raise. Python drops what is raised before a fork or just behind it,
and goes on: neither were anybody told of it, nor would go on what was to rest."""
_OFTEN = 0.001  # seconds between two looks


class ForkSignals:
    """Of one process. Handlers run in its main thread alone: a fork of another one holds none."""

    def __init__(self) -> None:
        self._handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self._holds = False
        self._came: list[int] = []

    def hold(self) -> None:
        """The process is about to fork: from now on what comes is noted."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._holds = True
        for number in HELD:
            handler = signal.getsignal(number)
            # asyncio's own raises nothing, and has set how calls of the system go on behind it.
            if not callable(handler) or str(handler.__module__).startswith("asyncio"):
                continue
            if handler != self._note:
                self._handlers[number] = handler
            with contextlib.suppress(ValueError):  # of another interpreter
                signal.signal(number, self._note)

    def forget(self) -> None:
        """This is a child: what came was for its parent."""
        self._came.clear()

    def let_go(self, behind: CodeType) -> None:
        """It has forked: what came is sent again once the main thread is out of `behind`, and that
        is at once as far as whoever forked can tell."""
        if threading.current_thread() is not threading.main_thread():
            return
        try:
            self._holds = False
            for number, handler in self._handlers.items():
                if signal.getsignal(number) == self._note:
                    signal.signal(number, handler)
        finally:
            came, self._came = self._came, []
            if came:
                threading.Thread(target=_send, args=(came, behind), daemon=True).start()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._holds:
            self._came.append(number)
        else:  # another signal came before this one's handler was back
            self._handlers[number](number, frame)


def _send(numbers: list[int], behind: CodeType) -> None:
    main = threading.main_thread().ident
    assert main is not None
    pause = threading.Event()
    while _is_in(sys._current_frames().get(main), behind):
        pause.wait(_OFTEN)
    for number in dict.fromkeys(numbers):
        signal.pthread_kill(main, number)


def _is_in(frame: FrameType | None, code: CodeType) -> bool:
    while frame is not None:
        if frame.f_code is code:
            return True
        frame = frame.f_back
    return False
