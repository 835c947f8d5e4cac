"""Looking at orders, cancelling them, health and statistics."""

from typing import Any

import falcon
import falcon.testing
import pytest

from services.order.model import Order
from services.order.payments import Declined
from services.order.status import HealthResource
from taskflow.broker import QueueSettings
from tests.services.order.doubles import CARD, Store, new_order, payload_of


def cancel(store: Store, order_id: str, **options: Any) -> Any:
    return store.client.simulate_post(f"/orders/{order_id}/cancel", **options)


def test_order_is_shown_with_its_version(store: Store) -> None:
    created = store.post(new_order())
    shown = store.get(created.headers["Location"])
    assert (shown.status_code, shown.json) == (200, created.json)
    assert shown.headers["ETag"] == created.headers["ETag"]


def test_known_version_is_304_until_the_order_changes(store: Store) -> None:
    created = store.post(new_order())
    path, headers = created.headers["Location"], {"If-None-Match": created.headers["ETag"]}
    same = store.get(path, headers=headers)
    assert (same.status_code, same.content) == (304, b"")
    assert same.headers["ETag"] == created.headers["ETag"]
    cancel(store, created.json["id"])
    assert store.get(path, headers=headers).status_code == 200


def test_pages_hold_every_order_once_newest_first(store: Store) -> None:
    ids = [store.post(new_order()).json["id"] for _ in range(5)]
    seen: list[str] = []
    query = "limit=2"
    for _ in range(3):
        page = store.get("/orders", query_string=query).json
        seen += [order["id"] for order in page["items"]]
        query = f"limit=2&cursor={page['next_cursor']}"
        store.post(new_order(customer_email="late@example.org"))
    assert seen == ids[::-1]
    assert page["next_cursor"] is None


def test_orders_are_listed_by_status(store: Store) -> None:
    first, _second = (store.post(new_order()).json["id"] for _ in range(2))
    cancel(store, first)
    page = store.get("/orders", query_string="status=cancelled").json
    assert [order["id"] for order in page["items"]] == [first]


@pytest.mark.parametrize("body", [new_order(), new_order(payment=CARD)])
def test_cancelling_is_idempotent_and_tells_once(store: Store, body: Any) -> None:
    order = store.post(body).json
    first = cancel(store, order["id"], json={"reason": "too dear"})
    again = cancel(store, order["id"])
    assert (first.status_code, first.json["status"]) == (200, "cancelled")
    assert again.json == first.json
    _created, row = store.outbox.pending()
    assert row.event.topic == "order.cancelled"
    assert payload_of(row) == {
        "order_id": order["id"],
        "customer_email": "ada@example.org",
        "total_cents": 2500,
        "payment_id": order["payment_id"],
        "reason": "too dear",
    }


def test_declined_order_cannot_be_cancelled(store: Store) -> None:
    store.payments.outcome = lambda order: Declined("pay_1", "stolen_card")
    order_id = store.post(new_order(payment=CARD)).json["order_id"]
    assert cancel(store, order_id).status_code == 409


def test_order_cannot_be_cancelled_while_it_is_charged(store: Store) -> None:
    found: list[int] = []

    def outcome(order: Order) -> Declined:
        found.append(cancel(store, order.id).status_code)
        return Declined("pay_1", "generic_decline")

    store.payments.outcome = outcome
    store.post(new_order(payment=CARD))
    assert found == [409]


def test_health_names_what_fails() -> None:
    def fail() -> None:
        raise RuntimeError("no route to host")

    app = falcon.App()
    app.add_route("/health", HealthResource({"database": lambda: None, "payment": fail}))
    response = falcon.testing.TestClient(app).simulate_get("/health")
    assert response.status_code == 503
    assert response.json["checks"] == {"database": "ok", "payment": "unavailable"}


def test_health_is_200_when_all_is_well(store: Store) -> None:
    assert store.get("/health").json == {
        "status": "ok",
        "checks": {"database": "ok", "broker": "ok", "outbox": "ok"},
    }
    assert store.get("/health/live").status_code == 200


def test_stats_count_orders_money_queues_and_outbox(store: Store) -> None:
    store.broker.create_queue("audit", QueueSettings())
    store.broker.subscribe("order.created", "audit")
    store.post(new_order(payment=CARD))
    store.post(new_order())
    store.relay.publish_pending()
    cancel(store, store.post(new_order(payment=CARD)).json["id"])
    store.clock.advance(7)
    stats = store.get("/stats").json
    assert stats["orders"] == {
        "pending": 0,
        "charging": 0,
        "paid": 2,
        "declined": 0,
        "cancelled": 1,
        "refunded": 0,
    }
    assert stats["revenue_cents"] == 5000
    assert stats["queues"]["audit"]["visible"] == 2
    assert stats["events"] == {"handled": 0, "failed": 0}
    assert stats["outbox"] == {
        "pending": 2,
        "oldest_age_seconds": 7,
        "refused": 0,
        "refused_rows": [],
    }


def test_stats_survive_a_broker_that_does_not(store: Store) -> None:
    store.broker.close()
    stats = store.get("/stats")
    assert (stats.status_code, stats.json["queues"], stats.json["events"]) == (200, None, None)
