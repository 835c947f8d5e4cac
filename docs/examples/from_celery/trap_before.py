"""Celery on SQS with tasks that take longer than the visibility timeout, waiting or working.

celery -A trap_before worker --queues trap
python trap_before.py
"""

import os
from pathlib import Path
from threading import Event

from celery import Celery

app = Celery("trap_before", broker=os.environ["SHOP_BROKER"])
app.conf.update(
    broker_transport_options={"region": "us-east-1", "visibility_timeout": 3},
    task_acks_late=True,
    task_ignore_result=True,
    task_default_queue="trap",
)


def done(text: str) -> None:
    """The effect of a task: a line in a file."""
    with Path(os.environ.get("SHOP_LOG", "shop.log")).open("a") as log:
        log.write(f"{text}\n")


@app.task
def wait() -> None:
    done("waited")


@app.task(bind=True, max_retries=2)
def fail(self) -> None:
    done(f"failed at retry {self.request.retries}")
    raise self.retry(countdown=8)


@app.task
def work() -> None:
    done("worked")
    Event().wait(5)


if __name__ == "__main__":
    wait.apply_async(countdown=10)
    fail.delay()
    work.delay()
