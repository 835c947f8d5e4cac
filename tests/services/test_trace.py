"""One trace, from POST /orders over gRPC and the outbox to the e-mail."""

from collections.abc import Callable, Iterator
from contextlib import closing
from email.message import EmailMessage
from itertools import count
from pathlib import Path
from typing import Any

import falcon.testing
import pytest

from services.database import open_database
from services.notification.handlers import Notifier
from services.notification.message import OrderCreated
from services.notification.repository import NotificationRepository
from services.order.api import create_app
from services.order.payments import GrpcPayments
from services.order.repository import OrderRepository
from services.order.service import OrderService
from services.order.status import HealthResource, StatsResource
from services.order.tables import metadata
from services.payment.repository import PaymentRepository
from services.payment.server import PaymentServer
from services.payment.service import PaymentService
from services.tracing import traced
from taskflow import Broker, Context, Registry, SystemClock, Worker
from taskflow.outbox import Relay, SqlAlchemy
from tests.services.order.doubles import new_order
from tests.taskflow.telemetry.conftest import spans

__all__ = ["spans"]
TRACE = "0af7651916cd43dd8448eb211c80319c"
TREE = """\
POST /orders (SERVER)
  payment.v1.PaymentService/ProcessPayment (CLIENT)
    payment.v1.PaymentService/ProcessPayment (SERVER)
  send order.created (PRODUCER)
  process notifications (CONSUMER)
    send e-mail (CLIENT)
"""


class Mailbox:
    """A mail server that takes everything."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []

    def send(self, message: EmailMessage) -> None:
        self.mails.append(message)


@pytest.fixture
def payment_address(tmp_path: Path) -> Iterator[str]:
    with closing(PaymentRepository.open(f"sqlite:///{tmp_path / 'payment.db'}")) as repository:
        ids = count(1)
        service = PaymentService(repository, SystemClock(), lambda: f"pay_{next(ids)}", 100_000)
        server = PaymentServer(service, "127.0.0.1", 0)
        server.start()
        yield f"127.0.0.1:{server.port}"
        server.stop(0)


def tree(found: list[Any]) -> str:
    """The spans of the one trace, each below its parent."""
    lines: list[str] = []

    def write(parent: int, depth: int) -> None:
        for one in found:
            if one.parent is not None and one.parent.span_id == parent:
                lines.append(f"{'  ' * depth}{one.name} ({one.kind.name})\n")
                write(one.context.span_id, depth + 1)

    write(int("b7ad6b7169203331", 16), 0)
    return "".join(lines)


def test_a_trace_goes_from_the_order_to_the_mail(
    spans: Callable[[], list[Any]],
    payment_address: str,
    taskflow_broker: Broker,
    tmp_path: Path,
) -> None:
    broker, clock, mailbox, registry = taskflow_broker, SystemClock(), Mailbox(), Registry()
    engine = open_database(f"sqlite:///{tmp_path / 'order.db'}", metadata)
    notifications = NotificationRepository.open(f"sqlite:///{tmp_path / 'notification.db'}")
    notifier = Notifier(notifications, mailbox, "shop@example.org", clock)

    @registry.subscribe("order.created", queue="notifications")
    def confirm(order: OrderCreated, ctx: Context) -> None:
        notifier.confirm(order, ctx.event.time)

    worker = Worker(broker, registry=registry)
    relay = Relay(SqlAlchemy(engine), broker)
    ids, repository = count(1), OrderRepository(engine)
    with closing(GrpcPayments(payment_address, timeout=20)) as payments, closing(notifications):
        service = OrderService(
            repository, payments, clock, lambda kind: f"{kind}_{next(ids)}", lambda: None, 5.0
        )
        health, stats = HealthResource({}), StatsResource(repository, relay.outbox, broker, clock)
        app = traced(create_app(service, health, stats, {"falconframework.org"}))
        answer = falcon.testing.simulate_post(
            app,
            "/orders",
            json=new_order(),
            headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"},
        )
        assert answer.status_code == 201
        relay.publish_pending()
        worker.drain()
    engine.dispose()
    assert len(mailbox.mails) == 1
    assert tree([one for one in spans() if f"{one.context.trace_id:032x}" == TRACE]) == TREE
