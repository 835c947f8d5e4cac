"""What somebody was refused stands in the record too; a flood of it does not wash the rest away."""

import threading
from collections import OrderedDict, deque

from taskflow import forking
from taskflow.broker import Broker
from taskflow.broker.action import Action
from taskflow.dashboard.asked import Asked
from taskflow.dashboard.visitor_rights import Who

AGAIN = 60.0  # seconds in which the same of the same person is noted once
AN_HOUR, MOST = 3600.0, 60  # refusals of all persons that are noted
KNOWN_HERE = 1000
LONGEST_WORD = 40


class Refusals:
    """Notes what persons that were let in tried and may not. Thread-safe."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._lock: threading.Lock
        forking.anew(self, _lock=threading.Lock)
        self._last: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._noted: deque[float] = deque()

    def note(self, asked: Asked, who: Who, text: str) -> None:
        """A form was refused. Raises BrokerError."""
        word = _word(asked)
        if self._broker.features.runs and self._is_new(who.name, word):
            self._broker.note_action(
                Action(
                    who=who.name,
                    did=word,
                    via="dashboard",
                    host=asked.peer or None,
                    result=f"refused: {text}",
                )
            )

    def _is_new(self, who: str, word: str) -> bool:
        now = self._broker.clock.now()
        with self._lock:
            while self._noted and self._noted[0] <= now - AN_HOUR:
                self._noted.popleft()
            last = self._last.get((who, word))
            if (last is not None and now - last < AGAIN) or len(self._noted) >= MOST:
                return False
            self._last[who, word] = now
            self._last.move_to_end((who, word))
            while len(self._last) > KNOWN_HERE:
                self._last.popitem(last=False)
            self._noted.append(now)
            return True


def _word(asked: Asked) -> str:
    """What was asked for, as its button calls it: a name of ours, whatever was sent."""
    if asked.path != "/act" or asked.is_foreign():
        return asked.path.strip("/")[:LONGEST_WORD] or "post"
    word = asked.form().get("do", [""])[-1].partition(" ")[0][:LONGEST_WORD]
    return word.replace("-", " ") if word.replace("-", "").isalpha() and word.isascii() else "act"
