"""What the demo shows, line by line, and waits for."""

import re
import threading
from collections.abc import Callable

from taskflow.clock import SystemClock

PATIENCE = 40.0  # seconds to wait for any one effect


class Stage:
    """Prints the flow with times, and remembers every line so that effects can be waited for."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._start = self._clock.now()
        self._changed = threading.Condition()
        self._seen: list[tuple[str, str]] = []

    def say(self, who: str, text: str) -> None:
        """One line of the flow."""
        with self._changed:
            passed = self._clock.now() - self._start
            print(f"{passed:7.3f}s  {who:<14}  {text}", flush=True)
            self._seen.append((who, text))
            self._changed.notify_all()

    def wait_for(self, who: str, pattern: str) -> re.Match[str]:
        """The first line of `who` that matches. Raises SystemExit when none comes."""
        until = self._clock.now() + PATIENCE
        with self._changed:
            while True:
                for speaker, text in self._seen:
                    if speaker == who and (found := re.search(pattern, text)):
                        return found
                left = until - self._clock.now()
                if left <= 0:
                    raise SystemExit(f"the demo failed: {who} never said {pattern!r}")
                self._clock.wait(self._changed, left)

    def wait_until(self, what: str, holds: Callable[[], bool]) -> None:
        """Wait until something holds that is not said by anybody."""
        until = self._clock.now() + PATIENCE
        with self._changed:
            while not holds():
                if self._clock.now() > until:
                    raise SystemExit(f"the demo failed: never saw {what}")
                self._clock.wait(self._changed, 0.1)


def check(what: str, holds: bool) -> None:
    """An expected effect."""
    if not holds:
        raise SystemExit(f"the demo failed: {what}")
    print(f"   ✓ {what}")
