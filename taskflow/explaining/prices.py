"""What SNS and SQS cost by the request: list prices of us-east-1 of June 2026, above the free tier.

https://aws.amazon.com/sqs/pricing/ and https://aws.amazon.com/sns/pricing/. Each 64 KiB of payload
counts as a request; standard topics deliver to SQS without a charge. What FIFO topics take for
payload and each delivery, traffic between regions, KMS, DynamoDB and S3 are not in it.
"""

import msgspec

from taskflow.limits import is_fifo

REGION, AS_OF = "us-east-1", "2026-06"
SQS_STANDARD, SQS_FIFO = 0.40, 0.50
"""USD for a million requests to queues."""
SNS_STANDARD, SNS_FIFO = 0.50, 0.30
"""USD for a million messages published (ten in one batch of 64 KiB are one, on standard topics)."""
BATCH = 10


class Cost(msgspec.Struct, frozen=True):
    """USD for a million messages that are handled at the first attempt: `least` where every request
    carries ten, `most` where each carries one."""

    least: float
    most: float

    def plus(self, other: "Cost") -> "Cost":
        """Both together."""
        return Cost(self.least + other.least, self.most + other.most)


def published(topic: str) -> Cost:
    """Publishing to a topic."""
    if is_fifo(topic):
        return Cost(SNS_FIFO, SNS_FIFO)
    return Cost(SNS_STANDARD / BATCH, SNS_STANDARD)


def sent(queue: str) -> Cost:
    """Sending to a queue."""
    price = SQS_FIFO if is_fifo(queue) else SQS_STANDARD
    return Cost(price / BATCH, price)


def handled(queue: str) -> Cost:
    """Receiving from a queue and deleting there."""
    one = sent(queue)
    return Cost(2 * one.least, 2 * one.most)
