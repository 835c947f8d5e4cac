"""Composes the e-mail of an order: the same bytes for the same event, however often."""

import hashlib
import html
from collections.abc import Callable
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from string import Template
from typing import TypedDict


class Item(TypedDict):
    """One line of an order."""

    product_name: str
    quantity: int
    unit_price_cents: int


class OrderCreated(TypedDict):
    """What an e-mail needs to know of the event `order.created`; it says more."""

    order_id: str
    customer_email: str
    items: list[Item]
    total_cents: int
    currency: str
    status: str


class OrderRefunded(TypedDict):
    """What an e-mail needs to know of the event `order.refunded`; it says more."""

    order_id: str
    customer_email: str
    amount_cents: int
    currency: str


class BadAddress(Exception):
    """The customer's address cannot be written into a header."""


_TEXT = Template(
    """\
Thank you for your order $order_id.

$lines

Total: $total
Status: $status
"""
)
_TEXT_LINE = Template("$quantity x $product_name, $price each")

_HTML = Template(
    """\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Order $order_id</title></head>
<body>
<p>Thank you for your order <strong>$order_id</strong>.</p>
<table>
<tr><th>Quantity</th><th>Product</th><th>Price each</th></tr>
$lines
</table>
<p>Total: <strong>$total</strong><br>Status: $status</p>
</body>
</html>
"""
)
_HTML_LINE = Template("<tr><td>$quantity</td><td>$product_name</td><td>$price</td></tr>")


def compose(order: OrderCreated, sender: str, sent_at: float) -> EmailMessage:
    """The confirmation of an order; `sent_at` (epoch seconds) is its Date. Raises BadAddress.

    Message-ID and part boundary follow from the order, so that two copies of the e-mail are
    alike to the last byte and mail systems can fold them into one.
    """
    identity = _identity("order.created", order["order_id"])
    to, subject = order["customer_email"], f"Your order {order['order_id']}"
    message = _envelope(sender, to, subject, sent_at, identity)
    message.set_content(_fill(order, _TEXT, _TEXT_LINE, str))
    message.add_alternative(_fill(order, _HTML, _HTML_LINE, html.escape), subtype="html")
    message.set_boundary(f"=={identity}==")
    return message


def compose_refund(order: OrderRefunded, sender: str, sent_at: float) -> EmailMessage:
    """The e-mail about a refund, as `compose`."""
    identity = _identity("order.refunded", order["order_id"])
    to, subject = order["customer_email"], f"Refund of your order {order['order_id']}"
    message = _envelope(sender, to, subject, sent_at, identity)
    amount = _money(order["amount_cents"], order["currency"])
    message.set_content(f"{amount} were given back for your order {order['order_id']}.\n")
    return message


def _identity(topic: str, order_id: str) -> str:
    return hashlib.sha256(f"{topic}|{order_id}".encode()).hexdigest()[:32]


def _envelope(sender: str, to: str, subject: str, sent_at: float, identity: str) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    try:
        # Header objects refuse line breaks; addresses refuse what is not one address.
        message["From"] = Address(addr_spec=sender)
        message["To"] = Address(addr_spec=to)
        message["Subject"] = subject
    except (ValueError, IndexError, MessageError) as error:
        raise BadAddress("the address or the order id cannot stand in a header") from error
    message["Date"] = format_datetime(datetime.fromtimestamp(sent_at, UTC))
    message["Message-ID"] = f"<{identity}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    return message


def _fill(order: OrderCreated, page: Template, line: Template, escape: Callable[[str], str]) -> str:
    lines = [
        line.substitute(
            quantity=item["quantity"],
            product_name=escape(item["product_name"]),
            price=escape(_money(item["unit_price_cents"], order["currency"])),
        )
        for item in order["items"]
    ]
    return page.substitute(
        order_id=escape(order["order_id"]),
        lines="\n".join(lines),
        total=escape(_money(order["total_cents"], order["currency"])),
        status=escape(order["status"]),
    )


def _money(cents: int, currency: str) -> str:
    return f"{cents // 100:,}.{cents % 100:02d} {currency}"
