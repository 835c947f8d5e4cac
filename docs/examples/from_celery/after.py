"""The same shop on taskflow: an order is charged, then an e-mail goes out; a reminder comes later.

taskflow topology apply -m after
taskflow worker -m after
python after.py ord_1
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from taskflow import Context, RetryPolicy, publish, subscribe


@dataclass
class Order:
    order_id: str
    email: str


def done(text: str) -> None:
    """The effect of a handler: a line in a file."""
    with Path(os.environ.get("SHOP_LOG", "shop.log")).open("a") as log:
        log.write(f"{text}\n")


network = RetryPolicy(retries=5, backoff=1, maximum=600)
only_network = RetryPolicy(retries=0, rules={OSError: network})  # the rest is dead-lettered


@subscribe("order.placed", queue="charges", policy=only_network, timeout=60)
def charge(order: Order) -> None:
    done(f"charged {order.order_id}")
    publish("order.charged", order)


@subscribe("order.charged", queue="mails", retries=3, rate="10/s")
def send_mail(order: Order, ctx: Context) -> None:
    if ctx.attempt == 1:
        raise ConnectionError("the mail server is busy")
    done(f"mailed {order.email}")


@subscribe("reminder.due", queue="reminders")
def remind(order: Order) -> None:
    done(f"reminded {order.email}")


def place(order: Order) -> None:
    publish("order.placed", order)
    publish("reminder.due", order, delay=3)


if __name__ == "__main__":
    place(Order(sys.argv[1], f"{sys.argv[1]}@example.com"))
