"""Requests to the order API, nearly right, over a database file and a payment double."""

from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import falcon.testing

from services.database import open_database
from services.order.api import create_app
from services.order.repository import OrderRepository
from services.order.service import TOPICS, OrderService
from services.order.status import HealthResource, StatsResource
from services.order.tables import metadata
from taskflow.outbox import Relay, SqlAlchemy
from taskflow.testing import ManualClock, memory_broker
from tests.fuzz.values import Values, to_json
from tests.fuzz.verdict import Verdict
from tests.services.order.doubles import CARD, ITEM, FakePayments, new_order

PATHS = ("/orders", "/health", "/stats", "/health/live", "/openapi.json", "/", "/orders/", "/x")
QUERIES = ("limit", "cursor", "status", "before", "x")
WORDS = ("customer_email", "items", "payment", "product_name", "quantity", "unit_price_cents")
HOST = "falconframework.org"  # the one of its test client
HEADERS = (
    "Idempotency-Key",
    "Content-Type",
    "Accept",
    "Origin",
    "Content-Encoding",
    "If-None-Match",
)


class OrderFuzz:
    """One order service in-process. What it took at the end still stands in its books."""

    def __init__(self, values: Values, verdict: Verdict, folder: Path) -> None:
        self._values = values
        self._verdict = verdict
        self._engine = open_database(f"sqlite:///{folder / 'order.db'}", metadata)
        clock = ManualClock()
        self._broker = memory_broker(clock=clock)
        self._broker.create_queue("all")
        for topic in TOPICS:
            self._broker.create_topic(topic)
            self._broker.subscribe(topic, "all")
        repository = OrderRepository(self._engine)
        self._relay = Relay(SqlAlchemy(self._engine), self._broker)
        ids = count(1)
        service = OrderService(
            repository,
            FakePayments(),
            clock,
            lambda prefix: f"{prefix}_{next(ids)}",
            self._relay.wake,
            5.0,
        )
        stats = StatsResource(repository, self._relay.outbox, self._broker, clock)
        app = create_app(service, HealthResource({"database": repository.ping}), stats, {HOST})
        self._client = falcon.testing.TestClient(app)

    def send(self) -> None:
        """One request."""
        self._verdict.requests += 1
        values = self._values
        method = values.dice.choice(("POST", "POST", "POST", "GET", "GET", "DELETE", "PUT"))
        path = values.dice.choice(PATHS) if method != "POST" else "/orders"
        if values.chance(0.25):
            end = values.dice.choice(("", "/cancel"))
            id = values.of("order") if values.chance(0.8) else quote(values.text()[:60], safe="")
            path = f"/orders/{id}{end}"
        body = self._body() if method in ("POST", "PUT") else b""
        headers = {"Content-Type": "application/json"}
        if values.chance(0.2):
            text = values.text()[:200].encode("ascii", "replace").decode()
            headers[values.dice.choice(HEADERS)] = text.replace("\r", "").replace("\n", "")
        query = "&".join(
            f"{values.dice.choice(QUERIES)}={quote(values.text()[:40])}"
            for _ in range(values.dice.randrange(3) if method == "GET" else 0)
        )
        request = method, path, query, headers, body
        try:
            answer = self._client.simulate_request(
                method, path, query_string=query, headers=headers, body=body
            )
        except Exception as error:
            self._verdict.wrong(f"the app raised {error!r}", request)
            return
        self._verdict.answered("orders", answer.status_code)
        if answer.status_code >= 500:
            self._verdict.wrong(f"answered {answer.status} {answer.text[:200]!r}", request)
        if answer.status_code == 201:
            values.note("order", answer.json["id"])

    def _body(self) -> bytes:
        values = self._values
        changes: dict[str, Any] = {}
        if values.chance(0.5):
            items = [dict(ITEM) for _ in range(values.dice.randrange(4))]
            changes["items"] = [
                item | {values.dice.choice(list(item)): values.json(1)}
                if values.chance(0.4)
                else item | {"unit_price_cents": 10**12, "quantity": values.dice.randrange(1, 99)}
                for item in items
            ]
        if values.chance(0.5):
            changes["payment"] = CARD | (
                {values.dice.choice(list(CARD)): values.json(1)} if values.chance(0.4) else {}
            )
        body = new_order(**changes)
        if values.chance(0.4):
            body = values.spoil(body, WORDS)
        made = to_json(body)
        return values.spoil_bytes(made) if values.chance(0.1) else made

    def close(self) -> None:
        """Every event can be published, and the books can be read."""
        while self._relay.publish_pending():
            pass
        outbox = self._relay.outbox
        if outbox.pending() or outbox.refused():
            self._verdict.wrong("events that no broker takes", outbox.refused())
        answer = self._client.simulate_get("/stats")
        if answer.status_code != 200:
            self._verdict.wrong("/stats in the end", answer.text)
        self._engine.dispose()
        self._broker.close()
