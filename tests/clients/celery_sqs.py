"""Celery with kombu's SQS transport: tasks, countdown, retries, a broadcast by SNS."""

import os
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from tests.clients.boto3_sdk import connect
from tests.clients.celery_worker import WITHOUT, Worker, working
from tests.clients.steps import Steps

COMMAND = (
    "celery",
    "-A",
    "tests.clients.celery_app",
    "worker",
    "--pool",
    "prefork",
    "--concurrency",
    "2",
)


def main(endpoint: str) -> int:
    steps = Steps()
    packages = ("celery", "kombu", "pycurl", "boto3")
    steps.versions(", ".join(f"{name} {version(name)}" for name in packages))
    os.environ["CLIENTS_ENDPOINT"] = endpoint
    with tempfile.TemporaryDirectory() as folder:
        command = (*COMMAND, "--loglevel", "INFO", *WITHOUT)
        with working(command, Path(folder), "effects") as worker:
            drive(steps, worker, endpoint)
        steps.same("the worker ends on SIGTERM", worker.code, 0)
        steps.same("nothing is left in the queue", left(endpoint), (0, 0))
    return steps.end()


def drive(steps: Steps, effects: Worker, endpoint: str) -> None:
    from tests.clients.celery_app import NEWS, add, fail_twice, hear

    add.delay(1, 2)
    steps.same("a task", effects.wait_for("add 3"), True)
    began = time.monotonic()
    add.apply_async((20, 22), countdown=2)
    done = effects.wait_for("add 42")
    steps.same("countdown", (done, time.monotonic() - began >= 1.9), (True, True))
    fail_twice.delay()
    steps.same("retry", effects.wait_for("try 0", "try 1", "try 2"), True)
    for n in range(100, 130):
        add.delay(n, 0)
    numbers = {f"add {n}" for n in range(100, 130)}
    steps.same("thirty tasks", effects.wait_for(*numbers), True)
    lines = effects.read()
    steps.same("each ran once", sorted(lines), sorted(set(lines)))
    # A sender must say that the exchange is a fan-out; only workers know by their queues.
    hear.apply_async(("é <news>",), declare=[NEWS.exchange])
    steps.same("a broadcast", effects.wait_for("heard é <news>"), True)
    sns = connect("sns", endpoint)
    arns = [
        one["TopicArn"]
        for page in sns.get_paginator("list_topics").paginate()
        for one in page["Topics"]
    ]
    steps.same("it went over an SNS topic", any("news" in arn for arn in arns), True)


def left(endpoint: str) -> tuple[int, int]:
    """Tasks that are visible, and those that are not."""
    sqs = connect("sqs", endpoint)
    url = sqs.get_queue_url(QueueName="celery-tasks")["QueueUrl"]
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    visible, hidden = (int(found[name]) for name in names)
    return visible, hidden


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
