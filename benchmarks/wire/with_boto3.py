"""The same cycles through boto3, as an application would do them: one client, one thread."""

# botocore has no types.
# mypy: allow-untyped-calls

import time

import boto3
from botocore.config import Config

from benchmarks.wire.clocks import Meter
from benchmarks.wire.jobs import WARM_UP, Sample, Target, fresh_name


def cycles(target: Target, *, batch: int, seconds: float, size: int) -> Sample:
    """Send, receive and delete, singly or in tens."""
    sqs = boto3.client(
        "sqs",
        region_name="us-east-1",
        endpoint_url=f"http://127.0.0.1:{target.port}",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )
    url = sqs.create_queue(QueueName=fresh_name())["QueueUrl"]
    body = "x" * size
    entries = [{"Id": str(number), "MessageBody": body} for number in range(batch)]

    def cycle() -> int:
        if batch == 1:
            sqs.send_message(QueueUrl=url, MessageBody=body)
        else:
            sqs.send_message_batch(QueueUrl=url, Entries=entries)
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=batch).get("Messages", [])
        if batch == 1:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=found[0]["ReceiptHandle"])
        else:
            held = [
                {"Id": str(number), "ReceiptHandle": one["ReceiptHandle"]}
                for number, one in enumerate(found)
            ]
            sqs.delete_message_batch(QueueUrl=url, Entries=held)
        return len(found)

    def run(length: float) -> tuple[int, int]:
        until = time.perf_counter() + length
        messages = requests = 0
        while time.perf_counter() < until:
            messages += cycle()
            requests += 3
        return messages, requests

    run(WARM_UP)
    meter, own = Meter([target.pid]), time.process_time()
    meter.start()
    messages, requests = run(seconds)
    meter.stop()
    own = time.process_time() - own
    return {
        "rate": messages / meter.wall,
        "messages_per_cpu": messages / meter.cpu,
        "cpu_per_1000": meter.cpu / requests * 1e3,
        "client_cpu_per_1000": own / requests * 1e3,
    }
