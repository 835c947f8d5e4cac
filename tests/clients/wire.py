"""The two services as one client sees them, with names of its own, and what it called of them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.clients.steps import Steps

ACCOUNT = "000000000000"
REGION = "us-east-1"


class Calls:
    """A client that notes the names of the methods called on it."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.names: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.names.add(name)
        return getattr(self._client, name)


@dataclass
class Wire:
    """What a sequence of operations works with.

    `sqs` and `sns` have the methods of boto3's clients. `prefix` begins all names, so that clients
    can share a server. `blob` is a binary value that the client can say.
    """

    sqs: Any
    sns: Any
    prefix: str
    steps: Steps
    blob: bytes = b"\x00\xff binary"

    def __post_init__(self) -> None:
        self.sqs, self.sns = Calls(self.sqs), Calls(self.sns)

    def name(self, what: str) -> str:
        """A name of this client's own."""
        return f"{self.prefix}-{what}"

    def queue(self, what: str, **attributes: str) -> str:
        """Create a queue; answers its URL."""
        if what.endswith(".fifo"):
            attributes["FifoQueue"] = "true"
        made = self.sqs.create_queue(QueueName=self.name(what), Attributes=attributes)
        return str(made["QueueUrl"])

    def queue_arn(self, what: str) -> str:
        return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{self.name(what)}"

    def topic(self, what: str, **attributes: str) -> str:
        """Create a topic; answers its ARN."""
        if what.endswith(".fifo"):
            attributes["FifoTopic"] = "true"
        made = self.sns.create_topic(Name=self.name(what), Attributes=attributes)
        return str(made["TopicArn"])

    def all(self, call: Callable[..., Any], member: str) -> list[Any]:
        """What a list operation answers, page by page."""
        answer = call()
        found = list(answer[member])
        while token := answer.get("NextToken"):
            answer = call(NextToken=token)
            found += answer[member]
        return found

    def receive(self, url: str, count: int = 1, wait: int = 20, **more: Any) -> list[Any]:
        """Receive until there are `count` messages; gives up after a poll that brings none."""
        found: list[Any] = []
        while len(found) < count:
            answer = self.sqs.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=min(10, count - len(found)),
                WaitTimeSeconds=wait,
                **more,
            )
            if not answer.get("Messages"):
                break
            found += answer["Messages"]
        return found

    def bodies(self, url: str, count: int = 1) -> list[str]:
        """Receive that many and delete them; answers their bodies in order."""
        found = self.receive(url, count)
        for message in found:
            self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [message["Body"] for message in found]

    def counts(self, url: str) -> tuple[int, int, int]:
        """How many messages are visible, not visible, delayed."""
        names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ]
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        visible, hidden, delayed = (int(found[name]) for name in names)
        return visible, hidden, delayed


def to_json(value: object) -> str:
    """A policy as attributes hold it."""
    return json.dumps(value)
