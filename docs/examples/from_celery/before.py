"""A shop on Celery and SQS: an order is charged, then an e-mail goes out; a reminder comes later.

celery -A before worker --queues charges,mails,reminders
python before.py ord_1
"""

import os
import sys
from pathlib import Path

from celery import Celery, chain

app = Celery("before", broker=os.environ["SHOP_BROKER"])  # sqs://KEY:SECRET@127.0.0.1:9324
app.conf.update(
    broker_transport_options={
        "region": "us-east-1",
        "visibility_timeout": 3600,  # longer than any task, countdown or retry
        "wait_time_seconds": 20,
    },
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    task_routes={
        "before.charge": {"queue": "charges"},
        "before.send_mail": {"queue": "mails"},
        "before.remind": {"queue": "reminders"},
    },
)


def done(text: str) -> None:
    """The effect of a task: a line in a file."""
    with Path(os.environ.get("SHOP_LOG", "shop.log")).open("a") as log:
        log.write(f"{text}\n")


@app.task(autoretry_for=(OSError,), retry_backoff=1, max_retries=5, time_limit=60)
def charge(order: dict) -> dict:
    done(f"charged {order['order_id']}")
    return order


@app.task(bind=True, max_retries=3, rate_limit="10/s")
def send_mail(self, order: dict) -> None:
    try:
        if self.request.retries == 0:
            raise ConnectionError("the mail server is busy")
        done(f"mailed {order['email']}")
    except ConnectionError as error:
        raise self.retry(exc=error, countdown=1) from error


@app.task
def remind(order: dict) -> None:
    done(f"reminded {order['email']}")


def place(order: dict) -> None:
    chain(charge.s(order), send_mail.s()).delay()
    remind.apply_async((order,), countdown=3)


if __name__ == "__main__":
    place({"order_id": sys.argv[1], "email": f"{sys.argv[1]}@example.com"})
