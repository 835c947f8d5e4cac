"""Placing orders: paid, unpaid, declined, uncertain, repeated. Never charged twice."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import Any

import pytest

from services.order.model import Status
from services.order.payments import Declined, PaymentRefused, PaymentUnavailable
from services.order.reading import FieldError
from services.order.service import ABANDON_AFTER_SECONDS, KEEP_REQUESTS_SECONDS
from tests.services.order.doubles import CARD, Store, new_order, payload_of

PAID = new_order(payment=CARD)


class Crash(BaseException):
    """The process dies here: nothing below catches it."""


def raise_(error: BaseException) -> Any:
    raise error


def topics(store: Store) -> list[str]:
    return [row.event.topic for row in store.outbox.pending()]


def test_an_order_without_a_card_is_charged_to_the_method_on_file(store: Store) -> None:
    response = store.post(new_order())
    order = response.json
    assert response.status_code == 201
    assert response.headers["Location"] == f"/orders/{order['id']}"
    assert response.headers["ETag"]
    assert order["id"].startswith("ord_")
    assert (order["status"], order["total_cents"], order["payment_id"]) == (
        "paid",
        2500,
        f"pay_{order['id']}",
    )
    assert store.payments.cards == [None]
    [row] = store.outbox.pending()
    assert row.event.topic == "order.created"
    assert payload_of(row) == {
        "order_id": order["id"],
        "customer_email": "ada@example.org",
        "items": new_order()["items"],
        "total_cents": 2500,
        "currency": "USD",
        "status": "paid",
        "payment_id": f"pay_{order['id']}",
    }


def test_an_order_that_costs_nothing_is_not_charged(store: Store) -> None:
    free = [{"product_name": "Sample", "quantity": 1, "unit_price_cents": 0}]
    order = store.post(new_order(items=free)).json
    assert (order["status"], order["payment_id"]) == ("pending", None)
    assert store.payments.calls == 0
    assert topics(store) == ["order.created"]


def test_a_customer_without_a_method_gets_a_402_and_a_declined_order(store: Store) -> None:
    store.payments.outcome = lambda order: Declined("pay_1", "no_payment_method")
    response = store.post(new_order(), key="k")
    assert response.status_code == 402
    assert response.json["decline_code"] == "no_payment_method"
    assert "no payment method on file" in response.json["detail"]
    order_id = response.json["order_id"]
    assert store.get(f"/orders/{order_id}").json["status"] == "declined"
    assert topics(store) == []


def test_order_with_a_card_is_charged_and_paid(store: Store) -> None:
    order = store.post(PAID).json
    assert (order["status"], order["payment_id"]) == ("paid", f"pay_{order['id']}")
    assert store.payments.charged == {order["id"]: 2500}
    assert payload_of(store.outbox.pending()[0])["payment_id"] == order["payment_id"]


def test_declined_card_is_402_with_the_reason_and_no_event(store: Store) -> None:
    store.payments.outcome = lambda order: Declined("pay_1", "insufficient_funds")
    response = store.post(PAID, key="k")
    assert (response.status_code, response.json["decline_code"]) == (402, "insufficient_funds")
    assert store.get(f"/orders/{response.json['order_id']}").json["status"] == "declined"
    assert topics(store) == []
    again = store.post(PAID, key="k")
    assert (again.status_code, again.content) == (402, response.content)


def test_card_the_payment_service_refuses_is_422_and_leaves_nothing(store: Store) -> None:
    error = PaymentRefused([FieldError("#/payment/card_number", "has a wrong check digit")])
    store.payments.before_charge = lambda: raise_(error)
    response = store.post(PAID, key="k")
    assert response.status_code == 422
    assert response.json["errors"] == [
        {"pointer": "#/payment/card_number", "detail": "has a wrong check digit"}
    ]
    assert store.is_empty()
    store.payments.before_charge = lambda: None
    assert store.post(new_order(payment=CARD | {"exp_month": 1}), key="k").status_code == 201


@pytest.mark.parametrize("body", [new_order(), PAID])
@pytest.mark.parametrize(("first", "second"), [("k1", "k1"), ('"k1"', "k1"), ('"a\\"b"', 'a"b')])
def test_repeat_with_the_same_key_replays_the_answer(
    store: Store, body: Any, first: str, second: str
) -> None:
    original, repeat = store.post(body, key=first), store.post(body, key=second)
    assert "Idempotent-Replayed" not in original.headers
    assert repeat.headers["Idempotent-Replayed"] == "true"
    assert (repeat.status_code, repeat.content) == (201, original.content)
    for name in ("Location", "ETag", "Content-Type"):
        assert repeat.headers[name] == original.headers[name]
    assert len(topics(store)) == 1


def test_replay_is_the_first_answer_even_after_the_order_changed(store: Store) -> None:
    order = store.post(new_order(), key="k").json
    store.client.simulate_post(f"/orders/{order['id']}/cancel")
    assert store.post(new_order(), key="k").json == order


def test_without_a_key_every_request_is_an_order(store: Store) -> None:
    assert store.post(new_order()).json["id"] != store.post(new_order()).json["id"]


def test_other_order_under_the_same_key_is_422(store: Store) -> None:
    store.post(new_order(), key="k")
    for other in (PAID, new_order(customer_email="bob@example.org")):
        assert store.post(other, key="k").status_code == 422
    assert len(topics(store)) == 1


def test_unreachable_payment_is_503_and_a_repeat_pays(store: Store) -> None:
    store.payments.before_charge = lambda: raise_(PaymentUnavailable("down"))
    response = store.post(PAID, key="k")
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert topics(store) == []
    store.payments.before_charge = lambda: None
    assert store.post(PAID, key="k").json["status"] == "paid"


def test_repeat_after_a_lost_answer_does_not_charge_again(store: Store) -> None:
    store.payments.before_answer = lambda: raise_(PaymentUnavailable("late"))
    assert store.post(PAID, key="k").status_code == 503
    store.payments.before_answer = lambda: None
    order = store.post(PAID, key="k").json
    assert order["status"] == "paid"
    assert store.payments.charged == {order["id"]: 2500}
    assert topics(store) == ["order.created"]


def test_repeat_after_a_crash_between_charge_and_save_does_not_charge_again(store: Store) -> None:
    store.payments.before_answer = lambda: raise_(Crash())
    with pytest.raises(Crash):
        store.post(PAID, key="k")
    store.payments.before_answer = lambda: None
    assert store.post(PAID, key="k").status_code == 409, "the dead request may still be alive"
    store.clock.advance(36)
    order = store.post(PAID, key="k").json
    assert order["status"] == "paid"
    assert store.payments.charged == {order["id"]: 2500}


def test_repeat_while_the_first_runs_is_409(store: Store) -> None:
    charging, go_on = Event(), Event()

    def wait() -> None:
        charging.set()
        assert go_on.wait(30)

    store.payments.before_charge = wait
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(store.post, PAID, "k")
        assert charging.wait(30)
        repeat = store.post(PAID, key="k")
        go_on.set()
        assert first.result(30).status_code == 201
    assert repeat.status_code == 409
    assert int(repeat.headers["Retry-After"]) > 0


def test_concurrent_repeats_make_one_order_and_one_charge(store: Store) -> None:
    start = Barrier(6)

    def post(_: int) -> int:
        start.wait(30)
        return int(store.post(PAID, key="k").status_code)

    with ThreadPoolExecutor(6) as pool:
        statuses = set(pool.map(post, range(6)))
    assert 201 in statuses
    assert statuses <= {201, 409}
    assert len(store.payments.charged) == 1
    assert topics(store) == ["order.created"]


def test_bad_repeat_of_an_uncertain_charge_keeps_the_order(store: Store) -> None:
    store.payments.before_answer = lambda: raise_(PaymentUnavailable("late"))
    store.post(PAID, key="k")
    store.payments.before_charge = lambda: raise_(PaymentRefused([]))
    assert store.post(new_order(payment=CARD | {"cvc": "1"}), key="k").status_code == 422
    assert store.repository.totals()[Status.CHARGING][0] == 1


def test_order_nobody_came_back_for_is_cancelled_and_refunded(store: Store) -> None:
    store.payments.before_answer = lambda: raise_(PaymentUnavailable("late"))
    store.post(PAID, key="k")
    store.clock.advance(ABANDON_AFTER_SECONDS - 1)
    assert store.service.sweep() == 0
    store.clock.advance(2)
    assert store.service.sweep() == 1
    assert topics(store) == ["order.cancelled"]
    repeat = store.post(PAID, key="k")
    assert (repeat.status_code, repeat.json["type"].rpartition(":")[2]) == (409, "order-abandoned")


def test_charge_that_ends_after_the_sweep_is_refunded(store: Store) -> None:
    def sweep() -> None:
        store.clock.advance(ABANDON_AFTER_SECONDS + 60)
        store.service.sweep()

    store.payments.before_answer = sweep
    assert store.post(PAID, key="k").status_code == 409
    assert topics(store) == ["order.cancelled", "order.cancelled"]
    assert payload_of(store.outbox.pending()[1])["payment_id"] is not None


def test_old_keys_and_published_events_are_forgotten(store: Store) -> None:
    order = store.post(new_order(), key="k").json
    store.relay.publish_pending()
    store.clock.advance(KEEP_REQUESTS_SECONDS + 1)
    store.service.sweep()
    assert store.post(new_order(), key="k").json["id"] != order["id"]
