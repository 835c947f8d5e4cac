"""Celery with kombu's SQS transport, set up as its documentation advises for few requests."""

import os
from urllib.parse import urlsplit

from celery import Celery

from benchmarks.aws.sender import send_all, tell

ENDPOINT = os.environ["BENCH_ENDPOINT"]
app = Celery("bench", broker=f"sqs://test:test@{urlsplit(ENDPOINT).netloc}")
app.conf.update(
    broker_transport_options={
        "region": "us-east-1",
        "predefined_queues": {
            "jobs": {
                "url": f"{ENDPOINT}/000000000000/jobs",
                "access_key_id": "test",
                "secret_access_key": "test",
            }
        },
        "wait_time_seconds": 20,  # 10 by default
        "polling_interval": 0.01,  # seconds between receives; 1 by default: 8 messages a second
    },
    broker_pool_limit=16,
    worker_prefetch_multiplier=20,  # 4 by default
    task_ignore_result=True,
    task_default_queue="jobs",
    worker_enable_remote_control=False,  # it would have a queue of its own
)


@app.task(name="handle")
def handle(number: int) -> None:
    tell(number)


if __name__ == "__main__":
    send_all(lambda number: app.send_task("handle", (number,)))
