"""The payload types of handlers agree with the events in proto/."""

from typing import Any, get_args, get_type_hints, is_typeddict

import pytest

from proto.fulfilment.v1 import fulfilment_pb2
from proto.order.v1 import order_pb2
from proto.payment.v1 import payment_pb2
from services.audit.handlers import TOPICS as AUDITED
from services.fulfilment import events as fulfilment
from services.notification import message as mails
from services.order import handlers as order_handlers
from services.order.model import NewItem, Order, Status
from services.order.service import TOPICS
from services.payment import handlers as payment_handlers
from services.payment.repository import PAYMENT_REFUNDED

ORDER = Order("o", "a@x.org", (NewItem("Lamp", 1, 5),), 5, "USD", Status.PAID, 0.0, 0.0, "pay_1")
WRITTEN: dict[str, tuple[Any, dict[str, Any]]] = {
    "order.created": (order_pb2.OrderCreated, ORDER.created_payload()),
    "order.cancelled": (order_pb2.OrderCancelled, ORDER.cancelled_payload("why")),
    "order.refunded": (order_pb2.OrderRefunded, ORDER.refunded_payload(5)),
    fulfilment.ORDER_FULFILLED: (
        fulfilment_pb2.OrderFulfilled,
        dict(fulfilment.OrderFulfilled(order_id="o", tracking_number="T1")),
    ),
}
READ = [
    (order_pb2.OrderCreated, mails.OrderCreated),
    (order_pb2.Item, mails.Item),
    (order_pb2.OrderRefunded, mails.OrderRefunded),
    (order_pb2.OrderCancelled, payment_handlers.OrderCancelled),
    (payment_pb2.PaymentRefunded, order_handlers.PaymentRefunded),
    (order_pb2.OrderCreated, fulfilment.OrderCreated),
    (order_pb2.Item, fulfilment.Item),
    (order_pb2.OrderCancelled, fulfilment.OrderCancelled),
    (fulfilment_pb2.ParcelShipped, fulfilment.ParcelShipped),
]
KINDS = {"string": str, "int32": int, "int64": int}


def fields(message: Any) -> dict[str, Any]:
    return {field.name: field for field in message.DESCRIPTOR.fields}


def kind_of(field: Any) -> Any:
    names = {field.TYPE_STRING: str, field.TYPE_INT32: int, field.TYPE_INT64: int}
    return names.get(field.type, dict)


@pytest.mark.parametrize("topic", WRITTEN)
def test_what_is_published_is_what_the_contract_says(topic: str) -> None:
    message, payload = WRITTEN[topic]
    assert set(payload) == set(fields(message))
    for name, value in payload.items():
        if isinstance(value, list | tuple):
            assert set(value[0]) == set(fields(order_pb2.Item))
        else:
            assert isinstance(value, kind_of(fields(message)[name]))


@pytest.mark.parametrize(("message", "wanted"), READ, ids=lambda one: one.__name__)
def test_what_handlers_read_is_in_the_contract(message: Any, wanted: Any) -> None:
    assert is_typeddict(wanted)
    known = fields(message)
    for name, hint in get_type_hints(wanted).items():
        assert name in known
        if not get_args(hint):
            assert hint is kind_of(known[name])


def test_every_topic_is_audited() -> None:
    assert set(AUDITED) == {*TOPICS, PAYMENT_REFUNDED, fulfilment.ORDER_FULFILLED}
