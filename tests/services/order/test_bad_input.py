"""Bad input to the order API, row by row: the status, the bad fields, and nothing stored."""

import json
from typing import Any

import pytest
from sqlalchemy import Engine

from services.order.api import MAX_BODY_BYTES
from services.order.tables import metadata
from tests.services.order.doubles import CARD, ITEM, Store, new_order

EMAIL, ITEMS, ITEM_0 = "#/customer_email", "#/items", "#/items/0"


def without(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}


def check_problem(response: Any, status: int) -> Any:
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = json.loads(response.content)
    assert problem["status"] == status
    assert problem["title"]
    assert "Traceback" not in response.text
    return problem


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"  ",
        b"{",
        b"{'a': 1}",
        b'{"a": NaN}',
        b"\xff\xfe",
        b'"\xff"',
        b"[" * 100_000,
        b"1e999",
    ],
)
def test_malformed_json_is_400(store: Store, raw: bytes) -> None:
    problem = check_problem(store.post(raw=raw), 400)
    assert [each["pointer"] for each in problem["errors"]] == ["#"]
    assert store.is_empty()


BAD_BODIES: list[tuple[Any, set[str]]] = [
    # the wrong type
    ([], {"#"}),
    (None, {"#"}),
    ("text", {"#"}),
    (new_order(customer_email=1), {EMAIL}),
    (new_order(items={}), {ITEMS}),
    (new_order(items=[1]), {ITEM_0}),
    (new_order(items=[ITEM | {"product_name": 5}]), {f"{ITEM_0}/product_name"}),
    (new_order(items=[ITEM | {"quantity": "2"}]), {f"{ITEM_0}/quantity"}),
    (new_order(items=[ITEM | {"quantity": 1.5}]), {f"{ITEM_0}/quantity"}),
    (new_order(items=[ITEM | {"quantity": True}]), {f"{ITEM_0}/quantity"}),
    (new_order(items=[ITEM | {"unit_price_cents": 9.99}]), {f"{ITEM_0}/unit_price_cents"}),
    (new_order(payment="card"), {"#/payment"}),
    # missing fields
    ({}, {EMAIL, ITEMS}),
    (new_order(customer_email=None), {EMAIL}),
    (new_order(items=[without(ITEM, "quantity")]), {f"{ITEM_0}/quantity"}),
    (new_order(payment=without(CARD, "cvc")), {"#/payment/cvc"}),
    # unknown fields
    (new_order(discount=5), {"#/discount"}),
    (new_order(items=[ITEM | {"sku": "x"}]), {f"{ITEM_0}/sku"}),
    (new_order(payment=CARD | {"a/b~c": 1}), {"#/payment/a~1b~0c"}),
    # values that cannot be
    (new_order(items=[]), {ITEMS}),
    (new_order(items=[ITEM] * 101), {ITEMS}),
    (new_order(items=[ITEM | {"quantity": 0}]), {f"{ITEM_0}/quantity"}),
    (new_order(items=[ITEM | {"quantity": -1}]), {f"{ITEM_0}/quantity"}),
    (new_order(items=[ITEM | {"unit_price_cents": -1}]), {f"{ITEM_0}/unit_price_cents"}),
    (new_order(items=[ITEM | {"unit_price_cents": 2**63}]), {f"{ITEM_0}/unit_price_cents"}),
    (new_order(items=[ITEM | {"unit_price_cents": 2**80}]), {f"{ITEM_0}/unit_price_cents"}),
    (new_order(items=[ITEM | {"unit_price_cents": 2**63 - 1, "quantity": 2}]), {ITEMS}),
    (new_order(items=[ITEM | {"product_name": " "}]), {f"{ITEM_0}/product_name"}),
    (new_order(items=[ITEM | {"product_name": "x" * 201}]), {f"{ITEM_0}/product_name"}),
    (new_order(customer_email="ada"), {EMAIL}),
    (new_order(customer_email="a@b\n"), {EMAIL}),
    (new_order(customer_email="a@b\r\nBcc: c@d"), {EMAIL}),
    (new_order(customer_email="a@b, c@d"), {EMAIL}),
    (new_order(payment=CARD | {"exp_month": 13}), {"#/payment/exp_month"}),
    (new_order(items=[ITEM | {"unit_price_cents": 0}], payment=CARD), {"#/payment"}),
    # all at once
    (
        {"customer_email": "", "items": [ITEM, {"quantity": 0}], "x": 1},
        {
            EMAIL,
            "#/items/1/quantity",
            "#/items/1/product_name",
            "#/items/1/unit_price_cents",
            "#/x",
        },
    ),
]


@pytest.mark.parametrize(("body", "pointers"), BAD_BODIES)
def test_bad_body_is_422_and_names_every_bad_field(
    store: Store, body: Any, pointers: set[str]
) -> None:
    problem = check_problem(store.post(raw=json.dumps(body).encode()), 422)
    assert {each["pointer"] for each in problem["errors"]} == pointers
    assert all(each["detail"] for each in problem["errors"])
    assert store.is_empty()
    assert store.payments.calls == 0


def test_largest_price_is_taken(store: Store) -> None:
    items = [ITEM | {"unit_price_cents": 2**63 - 1, "quantity": 1}]
    assert store.post(new_order(items=items)).json["total_cents"] == 2**63 - 1


def test_body_of_10_megabytes_is_413(store: Store) -> None:
    problem = check_problem(store.post(raw=b" " * 10_000_000), 413)
    assert str(MAX_BODY_BYTES) in problem["errors"][0]["detail"]
    assert store.is_empty()


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data"])
def test_other_content_type_is_415(store: Store, kind: str) -> None:
    raw = json.dumps(new_order()).encode()
    check_problem(store.post(raw=raw, headers={"Content-Type": kind}), 415)
    assert store.is_empty()


def test_json_with_a_charset_is_json(store: Store) -> None:
    raw = json.dumps(new_order()).encode()
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert store.post(raw=raw, headers=headers).status_code == 201


@pytest.mark.parametrize("path", ["/orders/ord_none", "/orders/%00", "/nothing", "/orders/a/b"])
def test_unknown_order_or_path_is_404(store: Store, path: str) -> None:
    check_problem(store.get(path), 404)


def test_cancelling_an_unknown_order_is_404(store: Store) -> None:
    check_problem(store.client.simulate_post("/orders/ord_none/cancel"), 404)


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/orders"), ("DELETE", "/orders/x"), ("GET", "/orders/x/cancel"), ("POST", "/stats")],
)
def test_wrong_method_is_405_and_names_the_right_ones(store: Store, method: str, path: str) -> None:
    response = store.client.simulate_request(method, path)
    check_problem(response, 405)
    assert response.headers["Allow"]


@pytest.mark.parametrize("key", ["", '""', "k" * 256, "caf\u00e9"])
def test_bad_idempotency_key_is_400(store: Store, key: str) -> None:
    check_problem(store.post(new_order(), key=key), 400)
    assert store.is_empty()


def test_stray_quote_is_part_of_a_bare_key(store: Store) -> None:
    assert store.post(new_order(), key='"open').status_code == 201


def test_unusable_database_is_503(store: Store, engine: Engine) -> None:
    metadata.drop_all(engine)
    response = store.post(new_order())
    check_problem(response, 503)
    assert response.headers["Retry-After"]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "?limit"),
        ("limit=201", "?limit"),
        ("limit=x", "?limit"),
        ("cursor=!!", "?cursor"),
        ("cursor=AAAA", "?cursor"),
        ("status=lost", "?status"),
    ],
)
def test_bad_query_is_400(store: Store, query: str, pointer: str) -> None:
    problem = check_problem(store.get("/orders", query_string=query), 400)
    assert [each["pointer"] for each in problem["errors"]] == [pointer]


def test_bad_reason_for_cancelling_changes_nothing(store: Store) -> None:
    order_id = store.post(new_order()).json["id"]
    path = f"/orders/{order_id}/cancel"
    check_problem(store.client.simulate_post(path, json={"reason": 1}), 422)
    assert store.get(f"/orders/{order_id}").json["status"] == "paid"
