"""The customers of the demo: four orders over HTTP, one of which is cancelled."""

import json
import urllib.error
import urllib.request
from typing import Any

from services.demo.stage import PATIENCE, Stage, check
from taskflow.clock import SystemClock, rfc3339

ITEMS = [
    {"product_name": "Mechanical keyboard", "quantity": 1, "unit_price_cents": 12900},
    {"product_name": "Cable", "quantity": 2, "unit_price_cents": 850},
]
SEED = (
    b'{"customer_email": "user@example.com", "items": [{"product_name": "Laptop Pro", '
    b'"quantity": 1, "unit_price_cents": 249900}]}'
)
"""The README's first order, byte for byte: no card, charged to the method on file."""


def place_orders(stage: Stage, url: str) -> str:
    """The README's, one that is refunded, one that is declined, one whose e-mail fails twice.
    Answers the id of the README's."""

    next_year = int(rfc3339(SystemClock().now())[:4]) + 1
    card = {"exp_month": 12, "exp_year": next_year, "cvc": "123"}

    def place(email: str, number: str) -> tuple[int, Any]:
        stage.say("demo", f"POST /orders for {email}")
        body = {
            "customer_email": email,
            "items": ITEMS,
            "payment": card | {"card_number": number},
        }
        status, answer = call("POST", f"{url}/orders", body)
        short = {
            name: answer[name] for name in ("id", "status", "title", "detail") if name in answer
        }
        stage.say("order", f"{status} {short}")
        return status, answer

    stage.say("demo", "POST /orders, as in the README")
    status, order = call("POST", f"{url}/orders", SEED)
    stage.say("order", f"{status} {order['id']} {order['status']}")
    check("the README's order was paid, from the method on file", order["status"] == "paid")
    first = str(order["id"])
    status, order = place("ada@example.com", "4242424242424242")
    check("the order was accepted and paid", status == 201 and order["status"] == "paid")
    cancelled = order["id"]
    status, problem = place("grace@example.com", "4000000000009995")
    check("the declined card got a 402", status == 402 and "insufficient" in str(problem))
    status, order = place("flaky@example.com", "5555555555554444")
    check("the third order was accepted", status == 201)
    stage.wait_for("mail server", "took an e-mail to user@")
    stage.wait_for("mail server", "took an e-mail to ada@")
    stage.wait_for("fulfilment", f"order {cancelled}: its reservation is held")
    stage.say("demo", f"POST /orders/{cancelled}/cancel")
    call("POST", f"{url}/orders/{cancelled}/cancel")
    stage.wait_for("audit", r"order.refunded → audit.handlers.record, attempt 1: done")
    status, order = call("GET", f"{url}/orders/{cancelled}")
    check("the cancelled order was refunded", order["status"] == "refunded")
    stage.wait_for("notifications", r"attempt 1: retry")
    stage.wait_for("notifications", r"attempt 2: retry")
    stage.wait_for("notifications", r"attempt 3: done")
    return first


def call(method: str, url: str, body: Any = None) -> tuple[int, Any]:
    """An HTTP call: status, and the JSON that came back."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
