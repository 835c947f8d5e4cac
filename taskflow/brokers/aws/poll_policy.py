"""Whether a queue probably holds more than it has just brought: to ask in vain costs a request.

Ten messages are no sign of more by themselves, as publishers send tens; ten that have waited are.
"""

from collections import defaultdict
from dataclasses import dataclass

BEHIND = 0.5  # seconds that messages waited, by the clocks of AWS and of this machine
MOST_PATIENCE = 32


@dataclass(slots=True)
class _Seen:
    full: int = 0  # answers in a row that brought all they were asked for, of messages that waited
    patience: int = 1  # so many of them until it is likely that there are more


class PollPolicy:
    """Per queue. Not locked: threads that overwrite each other cost a request at worst."""

    def __init__(self) -> None:
        self._seen: defaultdict[str, _Seen] = defaultdict(_Seen)

    def note(self, queue: str, asked: int, brought: int, waited: float) -> None:
        """Note one receive, and how long what it brought had waited. After one in vain it takes
        twice as many full ones to expect more (clocks may differ)."""
        seen = self._seen[queue]
        likely = self.is_likely(queue)
        if brought >= asked and waited >= BEHIND:
            if likely:
                seen.patience = max(1, seen.patience - 1)
            seen.full += 1
            return
        if not brought and likely:
            seen.patience = min(MOST_PATIENCE, 2 * seen.patience)
        seen.full = 0

    def is_likely(self, queue: str) -> bool:
        """Whether there is probably more now."""
        seen = self._seen[queue]
        return seen.full >= seen.patience
