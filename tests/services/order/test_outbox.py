"""Orders and their events: saved together, in order, and no order can stop another's."""

from typing import Any

import pytest
from sqlalchemy import Engine, text

from services.order.service import TOPICS
from taskflow.broker import QueueSettings
from taskflow.errors import LimitExceeded
from tests.services.order.doubles import Store, new_order


def test_order_is_not_saved_when_its_event_cannot_be(store: Store, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE taskflow_outbox"))
    assert store.post(new_order(items=FREE)).status_code == 503
    assert store.repository.page(1, None, None) == []


FREE = [{"product_name": "Sample", "quantity": 1, "unit_price_cents": 0}]


def test_queue_of_all_topics_sees_them_in_the_order_they_happened(store: Store) -> None:
    store.broker.create_queue("audit", QueueSettings())
    for topic in TOPICS:
        store.broker.subscribe(topic, "audit")
    for _ in range(2):
        order = store.post(new_order()).json
        store.client.simulate_post(f"/orders/{order['id']}/cancel")
        store.service.refund(order["id"], order["payment_id"], order["total_cents"])
    store.relay.publish_pending()
    topics = [delivery.topic for delivery in store.broker.receive("audit", limit=10)]
    assert topics == [*TOPICS, *TOPICS]


@pytest.mark.parametrize("text", ["x\uffff", "x\ufffe", "\u202etxt", "a\u2028b", "a\x85b"])
@pytest.mark.parametrize("field", ["product_name", "customer_email", "reason"])
def test_text_that_no_event_can_carry_is_refused_at_the_door(
    store: Store, field: str, text: str
) -> None:
    if field == "reason":
        order_id = store.post(new_order()).json["id"]
        path = f"/orders/{order_id}/cancel"
        answer = store.client.simulate_post(path, json={"reason": text})
    elif field == "product_name":
        answer = store.post(new_order(items=[FREE[0] | {"product_name": text}]))
    else:
        answer = store.post(new_order(customer_email=f"{text}@example.org"))
    assert answer.status_code == 422


def test_an_event_that_the_broker_refuses_is_shown_and_stops_nobody(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.broker.create_queue("audit", QueueSettings())
    store.broker.subscribe("order.created", "audit")
    publish = store.broker.publish

    def refusing(topic: str, messages: Any) -> Any:
        if any("poison" in message.body for message in messages):
            raise LimitExceeded("the message is too odd")
        return publish(topic, messages)

    monkeypatch.setattr(store.broker, "publish", refusing)
    store.post(new_order())
    bad = store.post(new_order(items=[FREE[0] | {"product_name": "poison"}])).json["id"]
    store.post(new_order())
    store.relay.publish_pending()
    assert store.broker.counts("audit").visible == 2
    found = store.get("/stats").json["outbox"]
    assert found["pending"] == 0
    assert found["refused"] == 1
    (row,) = found["refused_rows"]
    assert (row["topic"], row["subject"]) == ("order.created", bad)
    assert "the message is too odd" in row["reason"]
    health = store.get("/health")
    assert (health.status_code, health.json["checks"]["outbox"]) == (503, "unavailable")
    store.relay.outbox.try_again([row["seq"]])
    monkeypatch.undo()
    store.relay.publish_pending()
    assert store.get("/health").status_code == 200
