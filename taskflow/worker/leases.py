"""Leases: keeps what is in work invisible to others."""

import logging

from taskflow.broker import Broker
from taskflow.message import Delivery

log = logging.getLogger("taskflow.worker")


class Leases:
    """The deliveries a worker holds, extended in batches at half their time. Not thread-safe:
    its owner calls it under a lock."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._held: dict[str, tuple[Delivery, float]] = {}

    def hold(self, delivery: Delivery, now: float) -> None:
        """Keep this one from now on."""
        self._held[delivery.receipt] = delivery, max(1.0, delivery.visible_at - now)

    def drop(self, delivery: Delivery) -> None:
        """Let it go: it was settled, or is about to be."""
        self._held.pop(delivery.receipt, None)

    def __len__(self) -> int:
        return len(self._held)

    def due(self, now: float) -> list[tuple[Delivery, float]]:
        """What to extend now, each with the seconds to ask for."""
        return [
            (delivery, span)
            for delivery, span in self._held.values()
            if delivery.visible_at - span / 2 <= now
        ]

    def lost(self, extended: list[tuple[Delivery, float]], answers: list[bool]) -> list[Delivery]:
        """Forget the deliveries whose extension was refused, and answer which they are."""
        gone = [delivery for (delivery, _), ok in zip(extended, answers, strict=True) if not ok]
        for delivery in gone:
            delivery.lost = True
            self.drop(delivery)
        return gone
