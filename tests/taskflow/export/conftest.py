"""Subscriptions with one of everything that ends up in a document."""

from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

from taskflow import Event, Registry
from taskflow.export import Place


@dataclass
class Item:
    sku: str
    count: int = 1


@dataclass
class Order:
    order_id: str
    items: list[Item]


class Payment(BaseModel):
    class Card(BaseModel):
        last_digits: str

    card: Card


class Charged:
    """Holds another type of the name Item."""

    @dataclass
    class Item:
        price: float


def record(order: Order) -> None: ...
def charge(event: Event[Payment]) -> None: ...
def refund(items: list[Charged.Item]) -> None: ...
def read_files(body: str) -> None: ...
def look(anything: Any) -> None: ...


QUEUES = {
    "audit": "audit-dlq",
    "audit_dlq": "audit_dlq-dlq",
    "files": "files-dlq",
    "ledger.fifo": "ledger-dlq.fifo",
}
TOPICS = {
    "1st.file": "1st-file",
    "ledger.posted.fifo": "ledger-posted.fifo",
    "order.created": "order-created",
    "order_created": "order_created",
}
FULL = Place(
    "eu-central-1",
    "123456789012",
    "staging-",
    "finished",
    "large-payloads",
    state_table="kept",
)
FILTER = {"shop": ["a", {"prefix": "${b}"}]}


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    registry.subscribe("order.created", queue="audit", retries=5, filter=FILTER)(record)
    registry.subscribe("order_created", queue="audit")(look)
    registry.subscribe("order.created", queue="audit_dlq", visibility_timeout=90.5)(charge)
    registry.subscribe("1st.file", queue="files", raw=True, retries=0)(read_files)
    body = {"data": {"total": [{"numeric": [">", 1.5]}]}}
    registry.subscribe(
        "ledger.posted.fifo", queue="ledger.fifo", filter=body, filter_scope="MessageBody"
    )(refund)
    return registry
