"""Records: the contract of who knows which events a queue has finished, and which are being run.

`memory_records` keeps them in this process, `sql_records` and `dynamo_records` for all workers.
"""

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple, Protocol

from taskflow import forking

HELD = 20_000  # claims that a process keeps in mind
LONGEST_KEY = 1000  # characters; DynamoDB takes 2048 bytes, PostgreSQL indexes 2,700


class Key(NamedTuple):
    """An event of a queue."""

    queue: str
    id: str
    topic: str

    def write(self) -> str:
        """As text, whatever is in it: what is long or no plain text is hashed."""
        text = f"{self.queue}|{self.topic}|{self.id}"
        if len(text) <= LONGEST_KEY and text.isascii() and text.isprintable():
            return text
        return f"{self.queue}|sha256|{sha256(text.encode(errors='surrogatepass')).hexdigest()}"


class Run(NamedTuple):
    """A run of an event: `receipt` tells it from others in this process."""

    key: Key
    receipt: str


class Found(NamedTuple):
    """What a claim met: finished before, or run by another holder, until then (epoch seconds)."""

    finished: bool
    until: float


class Records(Protocol):
    """Thread-safe. Raises BrokerUnavailable."""

    remote: bool
    """Whether asking takes long, so that several claims are made at once."""

    def claim(self, run: Run, until: float, now: float, take_over: bool) -> Found | None:
        """Claim an event until then; None when that was possible. `take_over`: from whoever runs
        it, but not when it is finished."""
        ...

    def extend(self, runs: Iterable[tuple[Run, float]]) -> None:
        """The claims of these last until another time; runs without a claim are ignored."""
        ...

    def release(self, runs: Iterable[Run]) -> None:
        """End the claims of these; runs without a claim are ignored."""
        ...

    def remember(self, keys: Sequence[tuple[Key, float]], now: float) -> None:
        """These are finished, and known to be until then. It ends claims on them."""
        ...

    def finished(self, keys: Collection[Key], now: float) -> set[Key]:
        """Which of these are finished and not past their time."""
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...


class Held:
    """Which run of this process has claimed an event, so that others neither touch the claim nor
    cost a request. Thread-safe."""

    def __init__(self) -> None:
        self._receipts: OrderedDict[Key, str] = OrderedDict()
        self._lock: threading.Lock
        forking.anew(self, _lock=threading.Lock)

    def add(self, run: Run) -> None:
        with self._lock:
            self._receipts[run.key] = run.receipt
            self._receipts.move_to_end(run.key)
            if len(self._receipts) > HELD:
                self._receipts.popitem(last=False)

    def drop(self, run: Run) -> bool:
        """Forget a claim; whether there was one."""
        with self._lock:
            if self._receipts.get(run.key) != run.receipt:
                return False
            del self._receipts[run.key]
            return True

    def forget(self, key: Key) -> None:
        """Forget the claim on an event, whoever has it."""
        with self._lock:
            self._receipts.pop(key, None)

    def __contains__(self, run: Run) -> bool:
        with self._lock:
            return self._receipts.get(run.key) == run.receipt
