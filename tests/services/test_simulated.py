"""Notification, audit and order in a simulation: what their handlers do survives a crash at every
point, and whatever else befalls them."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from email.message import EmailMessage
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.audit.handlers import TOPICS, Recorder
from services.audit.repository import AuditLog
from services.audit.verify import verify
from services.database import open_database
from services.notification.handlers import Notifier
from services.notification.message import OrderCreated, OrderRefunded
from services.notification.repository import NotificationRepository
from services.notification.sender import TemporaryFailure
from services.order.handlers import PaymentRefunded, note
from services.order.model import NewOrder
from services.order.repository import OrderRepository
from services.order.service import OrderService
from services.order.tables import metadata
from taskflow import Context, Event, Registry, RetryPolicy
from taskflow.outbox import Relay, SqlAlchemy
from taskflow.testing import Sim, chaos, crash_matrix
from tests.services.order.doubles import FakePayments, new_order

POLICY = RetryPolicy(retries=9, backoff=1.0)


class Server:
    """A mail server that is away for the first `failures`, and takes its time."""

    def __init__(self) -> None:
        self.failures = 0
        self.taken: list[bytes] = []
        self.sim: Sim | None = None

    def send(self, message: EmailMessage) -> None:
        assert self.sim is not None
        self.sim.advance(2)
        self.failures -= 1
        if self.failures >= 0:
            raise TemporaryFailure("451")
        self.taken.append(bytes(message))
        self.sim.point("taken by the mail server")


class Shop:
    """The three services, each over its own database, in one simulation."""

    def __init__(self, folder: Path, make: Callable[..., Sim]) -> None:
        self.server = Server()
        registry = Registry()
        notifications = NotificationRepository.open(f"sqlite:///{folder / 'notification.db'}")
        self.engine = open_database(f"sqlite:///{folder / 'order.db'}", metadata)
        self.log = AuditLog(folder / "audit.db", folder / "audit.checkpoints")
        self.log.create()

        @registry.subscribe("order.created", queue="notifications", policy=POLICY)
        def confirm(order: OrderCreated, ctx: Context) -> None:
            notifier.confirm(order, ctx.event.time)

        @registry.subscribe("order.refunded", queue="notifications", policy=POLICY)
        def tell(order: OrderRefunded, ctx: Context) -> None:
            notifier.tell_of_refund(order, ctx.event.time)

        @registry.subscribe(*TOPICS, queue="audit", policy=POLICY)
        def record(event: Event[Any]) -> None:
            recorder.record(event)

        @registry.subscribe("payment.refunded", queue="orders", policy=POLICY)
        def note_refund(payment: PaymentRefunded) -> None:
            note(self.service, payment)

        self.sim = self.server.sim = make(registry)
        clock = self.sim.clock
        notifier = Notifier(notifications, self.server, "shop@example.org", clock)
        recorder = Recorder(self.log, clock)
        ids: dict[str, Iterator[int]] = defaultdict(lambda: count(1))
        repository, payments = OrderRepository(self.engine), FakePayments()
        self.service = OrderService(
            repository, payments, clock, lambda kind: f"{kind}_{next(ids[kind])}", lambda: None, 5.0
        )
        self.relay = Relay(SqlAlchemy(self.engine), self.sim.broker)
        self._close = notifications.close

    def sell(self, orders: int = 2) -> None:
        """Some orders, of which the first is refunded."""
        for _ in range(orders):
            self.service.place(msgspec.convert(new_order(), NewOrder), None)
        self.settle()
        refund = {"payment_id": "pay_ord_1", "order_id": "ord_1", "amount_cents": 2500}
        self.sim.publish("payment.refunded", refund)
        self.settle()

    def settle(self) -> None:
        """Until nothing waits in the outbox, nor in a queue."""
        self.relay.publish_pending()
        self.sim.run_until_idle()
        while self.relay.publish_pending():
            self.sim.run_until_idle()

    def check(self, orders: int = 2) -> None:
        """Each customer was told of each thing once, all is in the log once, and the money is back.

        (A mail that was taken just before a crash is sent again, as the same bytes.)
        """
        self.sim.assert_no_dead_letters()
        assert len(set(self.server.taken)) == orders + 1
        found = [self.service.get(f"ord_{number}").status for number in range(1, orders + 1)]
        assert found == ["refunded", "paid"][:orders]
        topics = sorted(entry.topic for entry in self.log.entries())
        assert topics == ["order.created"] * orders + ["order.refunded", "payment.refunded"]
        assert verify(self.log).broken is None

    def close(self) -> None:
        self._close()
        self.engine.dispose()


@pytest.fixture
def shop(tmp_path: Path, taskflow_sim: Callable[..., Sim]) -> Iterator[Shop]:
    with closing(Shop(tmp_path, taskflow_sim)) as shop:
        yield shop


@pytest.mark.slow
def test_an_outage_of_the_mail_server_is_ridden_out(shop: Shop) -> None:
    shop.server.failures = 3
    shop.sell()
    shop.check()
    assert len(shop.server.taken) == 3
    assert shop.sim.timeline("confirm").count("failed: TemporaryFailure") == 3
    shop.sim.assert_delivered("audit", times=4)
    shop.sim.assert_delivered("note_refund", times=1)


@pytest.mark.slow
@crash_matrix
def test_a_crash_at_any_point_changes_nothing(shop: Shop) -> None:
    shop.sell(1)
    shop.check(1)


@pytest.mark.slow
@chaos(runs=3)
def test_whatever_happens_each_customer_hears_of_each_thing(shop: Shop) -> None:
    shop.server.failures = 1
    shop.sell()
    shop.check()
