"""Fulfilment over a stock and a broker in memory, and a payment service that remembers."""

from typing import Any

from services.fulfilment import handlers as _handlers  # noqa: F401 - subscribes
from services.fulfilment.refunds import RefundRefused, RefundUncertain
from services.fulfilment.stock import Stock
from services.fulfilment.workflow import QUEUE, run_of
from taskflow import Broker, Registry, Worker, WorkflowResult, publish
from taskflow.registry import default_registry
from taskflow.testing import ManualClock, drain
from tests.taskflow.workflows.test_crashes import Died, Mortal

DAY = 86400.0
PIECES = 100  # of each product
LEASE = 31.0  # seconds: longer than that of a worker that is gone
ITEMS = [{"product_name": "Lamp", "quantity": 2}, {"product_name": "Cable", "quantity": 1}]


class FakeRefunds:
    """As the real one it gives a payment back once, and answers repeats as the first time."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.given: list[str] = []
        self.fails: list[RefundUncertain | RefundRefused] = []
        """Raised by the next calls, one each."""

    def refund(self, payment_id: str) -> int:
        self.asked.append(payment_id)
        if self.fails:
            raise self.fails.pop(0)
        if payment_id not in self.given:
            self.given.append(payment_id)
        return 2500


class Shop:
    """What fulfilment sees of the store, its worker, and somebody who hears what it tells."""

    def __init__(self, broker: Broker, clock: ManualClock, stock: Stock, refunds: FakeRefunds):
        self.broker, self.clock, self.stock, self.refunds = broker, clock, stock, refunds
        self._told: list[Any] = []
        self._ears = Registry()
        self._ears.subscribe("order.fulfilled", queue="ears")(self._hear)
        for registry, queue in ((default_registry, QUEUE), (self._ears, "ears")):
            Worker(broker, [queue], registry=registry)

    def _hear(self, payload: Any) -> None:
        self._told.append(payload)

    def order(self, order_id: str = "ord_1", payment_id: str | None = "pay_1") -> None:
        """`order.created`, with more than fulfilment reads."""
        told = {"order_id": order_id, "items": ITEMS, "payment_id": payment_id, "status": "paid"}
        publish("order.created", told)

    def cancel(self, order_id: str = "ord_1") -> None:
        """`order.cancelled`."""
        publish("order.cancelled", {"order_id": order_id, "reason": "too late"})

    def ship(self, order_id: str = "ord_1") -> None:
        """`parcel.shipped`."""
        publish("parcel.shipped", {"order_id": order_id, "tracking_number": "T1"})

    def work(self, for_seconds: float = 0.0, broker: Any = None) -> None:
        """A worker at work for so long, and what is due within that time. A broker at one of whose
        calls it dies is followed by the real one, after the dead worker's lease."""
        until = self.clock.now() + for_seconds
        while True:
            try:
                worker = Worker(broker or self.broker, [QUEUE])
                while worker.step(limit=1):
                    pass
                dues = [self.broker.next_due(*worker.queues), worker.tend()]
            except Died:
                broker = None
                self.clock.advance(LEASE)
                continue
            due = min((one for one in dues if one is not None), default=until + 1)
            if due > until:
                self.clock.set(max(until, self.clock.now()))
                return
            self.clock.set(max(due, self.clock.now()))

    def step(self) -> bool:
        """A worker handles one message, if one is due."""
        return bool(Worker(self.broker, [QUEUE]).step(limit=1))

    def dying(self, at: int, when: Any) -> Mortal:
        """The broker as a worker sees it that dies at one of its calls."""
        return Mortal(self.broker, at, when)

    def run(self, order_id: str = "ord_1") -> "WorkflowResult[Any]":
        """The run of an order."""
        return WorkflowResult(run_of(order_id))

    def told(self) -> list[Any]:
        """The events `order.fulfilled` so far, each as its payload."""
        drain(self.broker, self._ears)
        return self._told

    @property
    def lamps(self) -> int:
        """How many lamps are free."""
        return self.stock.free("Lamp")
