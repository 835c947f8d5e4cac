"""What a process keeps of topics, queues and subscriptions, so as not to ask each time."""

import threading
from collections.abc import Callable

from taskflow.stores.row import QueueRow, Target, TopicRow


class Kept:
    """What was read under one stamp."""

    def __init__(self, stamp: int) -> None:
        self.stamp = stamp
        self.queues: dict[str, QueueRow] = {}
        self.numbers: dict[int, QueueRow] = {}
        self.topics: dict[str, TopicRow] = {}
        self.targets: dict[str, list[Target]] = {}


NOTHING = -1
"""The stamp of nothing."""


class Declarations:
    """What was read under the last stamp that was seen. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.kept = Kept(NOTHING)

    def forget(self) -> None:
        """Keep nothing of what was read."""
        self.kept = Kept(NOTHING)

    def keep(self, stamp: int, note: Callable[[Kept], None]) -> None:
        """Let `note` add what was read under this stamp."""
        with self._lock:
            if self.kept.stamp != stamp:
                self.kept = Kept(stamp)
            note(self.kept)
