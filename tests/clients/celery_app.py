"""A Celery application on taskflow's SQS and SNS. Its tasks write what they did into a file."""

import os
from pathlib import Path
from typing import Any

from celery import Celery
from kombu import Queue
from kombu.common import Broadcast

from tests.clients.celery_worker import broker_url

PREFIX = "celery-"
NEWS = Broadcast("news")
app = Celery("clients", broker=broker_url(os.environ["CLIENTS_ENDPOINT"]))
app.conf.update(
    broker_transport_options={
        "region": "us-east-1",
        "queue_name_prefix": PREFIX,
        "supports_fanout": True,  # by SNS
        "visibility_timeout": 60,
        "wait_time_seconds": 5,
        "polling_interval": 0.1,
    },
    broker_connection_retry_on_startup=False,
    task_acks_late=True,
    task_ignore_result=True,
    task_default_queue="tasks",
    task_queues=(Queue("tasks"), NEWS),
    task_routes={"tests.clients.celery_app.hear": {"queue": "news", "exchange": "news"}},
)


def tell(line: str) -> None:
    """Add a line to the file that the driver reads."""
    with Path(os.environ["CLIENTS_EFFECTS"]).open("a") as file:
        file.write(f"{line}\n")


@app.task
def add(x: int, y: int) -> None:
    tell(f"add {x + y}")


@app.task
def hear(news: str) -> None:
    """For every worker: it travels over an SNS topic."""
    tell(f"heard {news}")


@app.task(bind=True, max_retries=3)
def fail_twice(self: Any) -> None:
    """Fails two times, and asks for a retry a second later each time."""
    tell(f"try {self.request.retries}")
    if self.request.retries < 2:
        raise self.retry(countdown=1)
