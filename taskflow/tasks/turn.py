"""One worker's turn at what is due, so that not all of them try."""

from taskflow.broker import Broker

TICKER = "taskflow.ticker"
HELD = 2.0  # seconds, after which others look whether the one who had it lives


class Turn:
    """Of many workers one sees to what is due: who asks first, and again before its time is over.

    It spares work, and is no lock: whoever goes on after its time does nothing twice, since what is
    due is changed by compare-and-set.
    """

    def __init__(self, broker: Broker, worker: str) -> None:
        self._broker = broker
        self._worker = worker
        self._sure_until = 0.0

    def is_mine(self, now: float) -> bool:
        """Whether it is this worker's. The broker is asked once in half the time that it is held:
        asking is a change, which waits for others. Raises BrokerError."""
        if now >= self._sure_until:
            if not self._broker.hold(TICKER, self._worker, HELD):
                return False
            self._sure_until = now + HELD / 2
        return True
