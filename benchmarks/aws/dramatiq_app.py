"""Dramatiq with dramatiq-sqs, its defaults."""

import os

import dramatiq
from dramatiq.middleware import (
    AgeLimit,
    Callbacks,
    Pipelines,
    Retries,
    ShutdownNotifications,
    TimeLimit,
)
from dramatiq_sqs import SQSBroker

from benchmarks.aws.sender import send_all, tell

dramatiq.set_broker(
    SQSBroker(
        endpoint_url=os.environ["BENCH_ENDPOINT"],
        region_name="us-east-1",
        middleware=[
            AgeLimit(),
            TimeLimit(),
            ShutdownNotifications(),
            Callbacks(),
            Pipelines(),
            Retries(),
        ],
    )
)


@dramatiq.actor(queue_name="jobs")
def handle(number: int) -> None:
    tell(number)


if __name__ == "__main__":
    send_all(handle.send)
