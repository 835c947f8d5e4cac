"""What this process knows of the messages it has received: receipts, leases, uncounted receives.

SQS answers success for many a stale receipt, and its receive count knows no exceptions. Here it is
kept, for as long as this process lives, which receipt is the last one of a message, and how many of
its receives were no attempt.
"""

import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, unquote

from taskflow import forking
from taskflow.broker.settings import Lease
from taskflow.brokers.aws.pointers import Pointer
from taskflow.message import Delivery

KEPT = 20_000  # messages; more than that are not in work at once


class Receipt(NamedTuple):
    """What is in `Delivery.receipt`: AWS's id of the message, when it was received (epoch
    seconds), where its payload is if that is in S3, and AWS's handle."""

    message: str
    received_at: float
    handle: str
    payload: Pointer | None = None

    def write(self) -> str:
        payload = "/".join(map(quote, self.payload)) if self.payload else ""
        return f"{self.message}|{self.received_at!r}|{payload}|{self.handle}"


def read_receipt(text: str) -> Receipt | None:
    """What a receipt says; None for one that is not of this broker."""
    parts = text.split("|", 3)
    if len(parts) != 4 or not parts[0] or not parts[3]:
        return None
    bucket, slash, key = map(unquote, parts[2].partition("/"))
    try:
        return Receipt(parts[0], float(parts[1]), parts[3], Pointer(bucket, key) if slash else None)
    except ValueError:
        return None


def received_at(receipts: Sequence[str]) -> list[float | None]:
    """When each was given (epoch seconds); None for what is no receipt."""
    found = map(read_receipt, receipts)
    return [None if one is None else one.received_at for one in found]


@dataclass(slots=True)
class _Known:
    receipt: str
    visible_at: float
    uncounted: int = 0
    gone: bool = False


class Receipts:
    """Thread-safe. The oldest entries are forgotten first."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()
        self._lock: threading.Lock
        forking.anew(self, _lock=threading.Lock)

    def receive(self, queue: str, receipt: Receipt, visible_at: float) -> tuple[str, int]:
        """Note a receive; answers its receipt as text (the one before, when a repeated receive
        brought the same), and how many receives of the message are known to be none."""
        key, text = (queue, receipt.message), receipt.write()
        with self._lock:
            known = self._known.pop(key, None) or _Known(text, visible_at)
            if known.receipt.endswith(f"|{receipt.handle}"):
                text = known.receipt
            known.receipt, known.visible_at, known.gone = text, visible_at, False
            self._known[key] = known
            if len(self._known) > KEPT:
                self._known.popitem(last=False)
            return text, known.uncounted

    def lease(self, delivery: Delivery, now: float) -> Lease | None:
        """How a receipt stands; None when this process does not know."""
        receipt = read_receipt(delivery.receipt)
        if receipt is None:
            return "stale"
        with self._lock:
            known = self._known.get((delivery.queue, receipt.message))
            if known is None:
                return None
            if known.gone:
                return "gone"
            if known.receipt != delivery.receipt:
                return "stale"
            return "held" if known.visible_at > now else "lapsed"

    def hide(self, delivery: Delivery, visible_at: float) -> None:
        """Note until when a message is hidden."""
        if (known := self._of(delivery)) is not None:
            known.visible_at = visible_at

    def discount(self, delivery: Delivery) -> None:
        """Note that the last receive of a message was none."""
        if (known := self._of(delivery)) is not None:
            known.uncounted += 1

    def settle(self, delivery: Delivery) -> None:
        """Note that a message is gone."""
        if (known := self._of(delivery)) is not None:
            known.gone = True

    def _of(self, delivery: Delivery) -> _Known | None:
        receipt = read_receipt(delivery.receipt)
        with self._lock:
            return receipt and self._known.get((delivery.queue, receipt.message))

    def purge(self, queue: str) -> None:
        """Note that all messages of a queue are gone."""
        with self._lock:
            for (name, _), known in self._known.items():
                if name == queue:
                    known.gone = True

    def next_due(self, queues: Collection[str], now: float) -> float | None:
        """When the next hidden message that this process knows becomes visible."""
        with self._lock:
            return min(
                (
                    known.visible_at
                    for (queue, _), known in self._known.items()
                    if queue in queues and not known.gone and known.visible_at > now
                ),
                default=None,
            )
