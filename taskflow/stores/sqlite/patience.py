"""How long a statement waits for another process that holds the file's lock."""

import threading

LONGEST = 30.0  # seconds
HURRIED = 1.0  # seconds, once the process is leaving
_FIRST = (0.001, 0.002, 0.005, 0.010, 0.015, 0.020, 0.025, 0.025, 0.025, 0.050, 0.050)
_THEN = 0.1


class Patience:
    """SQLite's busy handler: called with how often this statement has tried, answers whether to
    try again, after a while. `hurry` ends a wait that is going on, too."""

    def __init__(self) -> None:
        self._hurried = threading.Event()
        self._never = threading.Event()

    def __call__(self, tries: int) -> bool:
        hurried = self._hurried.is_set()
        if self.waited(tries) >= (HURRIED if hurried else LONGEST):
            return False
        (self._never if hurried else self._hurried).wait(self.pause(tries))
        return True

    @staticmethod
    def pause(tries: int) -> float:
        """Seconds before the next try."""
        return _FIRST[tries] if tries < len(_FIRST) else _THEN

    @classmethod
    def waited(cls, tries: int) -> float:
        """Seconds that so many tries have waited together."""
        return sum(_FIRST[:tries]) + max(0, tries - len(_FIRST)) * _THEN

    def hurry(self) -> None:
        """Wait no longer than a second from now on."""
        self._hurried.set()
