"""On the way: callers and messages of Celery are left, the work is done by taskflow.

taskflow worker -m after mails
celery -A both worker --queues mails
"""

import os

from celery import Celery

from taskflow import publish
from taskflow.errors import BrokerError

app = Celery("both", broker=os.environ["SHOP_BROKER"])
app.conf.update(
    broker_transport_options={"region": "us-east-1"},
    task_acks_late=True,
    task_ignore_result=True,
)


@app.task(name="before.send_mail", bind=True, autoretry_for=(BrokerError,), retry_backoff=1)
def send_mail(self, order: dict) -> None:
    """Hand it over. Delivered again, it is the same event: it has the task's id."""
    publish("order.charged", order, id=self.request.id)
