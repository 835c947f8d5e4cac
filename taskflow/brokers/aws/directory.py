"""What AWS calls our topics and queues: names, ARNs, URLs; and what this process has asked of them.

`order.created` is the topic `order-created`; a queue keeps its name; a prefix stands before both.
"""

import re
from collections.abc import Mapping
from typing import Any

from taskflow.broker.settings import QueueSettings, TopicSettings
from taskflow.brokers.aws.client import Api
from taskflow.errors import (
    BrokerError,
    InvalidName,
    QueueNotFound,
    TopicNotFound,
)
from taskflow.limits import check_queue, check_topic
from taskflow.wire.arns import write_arn
from taskflow.wire.queue_attributes import read_queue
from taskflow.wire.topic_attributes import read_topic
from taskflow.wire.topic_grants import without_ours
from taskflow.wire.topic_names import from_sns, to_sns

MAX_TOPIC_NAME, MAX_QUEUE_NAME = 256, 80
_ARN = re.compile(r"arn:[^:]*:(sns|sqs):[^:]*:[^:]*:([^:]+)(?::.*)?")
PAGE = 1000


class Directory:
    """Names and addresses in one account and region. Thread-safe.

    URLs and settings are kept once known; a queue that turns out to be gone is forgotten.
    """

    def __init__(self, api: Api, prefix: str = "", account: str | None = None) -> None:
        self.api = api
        self.prefix = prefix
        self._owner = account
        self._account = account
        self._urls: dict[str, str] = {}
        self._settings: dict[str, QueueSettings] = {}

    # ---- names ------------------------------------------------------------------------------
    @property
    def account(self) -> str:
        """The account: the one in the address, or that of the credentials (one call of STS)."""
        if self._account is None:
            self._account = str(self.api.call("sts", "get_caller_identity")["Account"])
        return self._account

    def wire_topic(self, topic: str) -> str:
        """The name of a topic on AWS. Raises InvalidName."""
        check_topic(topic)
        return self._fits("topic", topic, self.prefix + to_sns(topic), MAX_TOPIC_NAME)

    def wire_queue(self, queue: str) -> str:
        """The name of a queue on AWS. Raises InvalidName."""
        if "/" in check_queue(queue):
            raise InvalidName(f"queue {queue!r}: no '/' on AWS, whose regions are apart")
        return self._fits("queue", queue, self.prefix + queue, MAX_QUEUE_NAME)

    @staticmethod
    def _fits(kind: str, name: str, wire: str, most: int) -> str:
        if len(wire) > most:
            raise InvalidName(
                f"{kind} {name!r} is {wire!r} on AWS: {len(wire)} characters; {most} characters "
                "at most, the prefix counts"
            )
        return wire

    def topic_arn(self, topic: str) -> str:
        return self._arn("sns", self.wire_topic(topic))

    def queue_arn(self, queue: str) -> str:
        return self._arn("sqs", self.wire_queue(queue))

    def _arn(self, service: str, name: str) -> str:
        return write_arn(service, self.api.region, self.account, name, self.api.partition)

    def topic_of(self, arn: str) -> str | None:
        """Our name of the topic with this ARN; None for one that is not ours."""
        found = _ARN.fullmatch(arn)
        if found is None or found[1] != "sns" or not found[2].startswith(self.prefix):
            return None
        try:
            return check_topic(from_sns(found[2][len(self.prefix) :]))
        except InvalidName:
            return None

    def queue_of(self, arn: str) -> str | None:
        """Our name of the queue with this ARN; None for one that is not ours."""
        found = _ARN.fullmatch(arn)
        if found is None or found[1] != "sqs" or not found[2].startswith(self.prefix):
            return None
        return found[2][len(self.prefix) :]

    # ---- what there is ----------------------------------------------------------------------
    def queues(self) -> list[str]:
        """All queues whose names begin with the prefix, sorted."""
        urls = self._pages("sqs", "list_queues", "QueueUrls", QueueNamePrefix=self.prefix)
        return sorted(url.rpartition("/")[2][len(self.prefix) :] for url in urls)

    def topics(self) -> list[str]:
        """All topics whose names begin with the prefix and may be ours, sorted."""
        found = self._pages("sns", "list_topics", "Topics")
        names = (self.topic_of(one["TopicArn"]) for one in found)
        return sorted(name for name in names if name is not None)

    def _pages(self, service: Any, method: str, items: str, **params: Any) -> list[Any]:
        found: list[Any] = []
        if service == "sqs":
            params["MaxResults"] = PAGE  # else SQS answers the first thousand and no more
        while True:
            answer = self.api.call(service, method, **params)
            found += answer.get(items, ())
            if not answer.get("NextToken"):
                return found
            params["NextToken"] = answer["NextToken"]

    def pages(self, method: str, items: str, topic: str = "", **params: Any) -> list[Any]:
        """All pages of a listing of SNS, of one topic if given. Raises TopicNotFound."""
        if topic:
            params["TopicArn"] = self.topic_arn(topic)
        try:
            return self._pages("sns", method, items, **params)
        except TopicNotFound:
            raise self.no_topic(topic) from None

    # ---- calls ------------------------------------------------------------------------------
    def url(self, queue: str) -> str:
        """The URL of a queue. Raises QueueNotFound, with the names there are."""
        known = self._urls.get(queue)
        if known is not None:
            return known
        owner = {"QueueOwnerAWSAccountId": self._owner} if self._owner else {}
        try:
            name = self.wire_queue(queue)
            answer = self.api.call("sqs", "get_queue_url", queue, QueueName=name, **owner)
        except (InvalidName, QueueNotFound):
            raise self.no_queue(queue) from None
        self._urls[queue] = str(answer["QueueUrl"])
        return self._urls[queue]

    def on_queue(self, queue: str, method: str, **params: Any) -> Any:
        """Call a method of SQS on a queue. Raises QueueNotFound, with the names there are."""
        url = self.url(queue)
        try:
            return self.api.call("sqs", method, queue, QueueUrl=url, **params)
        except QueueNotFound:
            self.forget(queue)
            raise self.no_queue(queue) from None

    def on_topic(self, topic: str, method: str, **params: Any) -> Any:
        """Call a method of SNS on a topic. Raises TopicNotFound, with the names there are."""
        try:
            return self.api.call("sns", method, topic, TopicArn=self.topic_arn(topic), **params)
        except (InvalidName, TopicNotFound):
            raise self.no_topic(topic) from None

    def remember_url(self, queue: str, url: str) -> None:
        """This is the URL of a queue."""
        self._urls[queue] = url

    def forget(self, queue: str) -> None:
        """Ask anew for this queue's URL and settings."""
        self._urls.pop(queue, None)
        self._settings.pop(queue, None)

    def no_queue(self, queue: str) -> QueueNotFound:
        """The error for a queue that is not there; names those that are, if they may be listed."""
        try:
            return QueueNotFound(queue, self.queues())
        except BrokerError:
            return QueueNotFound(queue)

    def no_topic(self, topic: str) -> TopicNotFound:
        """The error for a topic that is not there; names those that are, if they may be listed."""
        try:
            return TopicNotFound(topic, self.topics())
        except BrokerError:
            return TopicNotFound(topic)

    # ---- settings ---------------------------------------------------------------------------
    def attributes(self, queue: str, *names: str) -> dict[str, str]:
        """Attributes of a queue, all by default, as SQS writes them."""
        answer = self.on_queue(queue, "get_queue_attributes", AttributeNames=list(names) or ["All"])
        found: dict[str, str] = answer.get("Attributes") or {}
        return found

    def read_settings(self, queue: str) -> QueueSettings:
        """The settings of a queue as they are now."""
        return self.keep_settings(queue, self.attributes(queue))

    def keep_settings(self, queue: str, texts: Mapping[str, str]) -> QueueSettings:
        """The settings among all attributes of a queue, as they were just read."""
        ours = {**texts, "Policy": without_ours(texts.get("Policy")) or ""}
        found = read_queue(queue, ours, self.queue_of, headroom=True)
        self._settings[queue] = found
        return found

    def settings(self, queue: str) -> QueueSettings:
        """The settings of a queue as this process last saw them: asking costs a request."""
        return self._settings.get(queue) or self.read_settings(queue)

    def read_topic_settings(self, topic: str) -> TopicSettings:
        """The settings of a topic as they are now."""
        answer = self.on_topic(topic, "get_topic_attributes")
        return read_topic(topic, answer["Attributes"])

    def drop_settings(self, queue: str) -> None:
        """They have been changed."""
        self._settings.pop(queue, None)
