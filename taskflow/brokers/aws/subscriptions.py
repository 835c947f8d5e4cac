"""Subscriptions: which queues and URLs get what a topic is sent, and that topics may send."""

import threading
from typing import Any

from taskflow import forking
from taskflow.broker.settings import TopicSubscription
from taskflow.brokers.aws.directory import Directory
from taskflow.brokers.aws.reach import Reach
from taskflow.errors import BrokerUnavailable, LimitExceeded, TopicNotFound
from taskflow.filters import parse_filter
from taskflow.limits import is_fifo
from taskflow.wire.subscription_attributes import (
    changed_subscription,
    read_subscription,
    write_subscription,
)
from taskflow.wire.topic_grants import allow_topic

_POLICY_TRIES = 5


class Subscriptions:
    """The subscriptions of one account, region and prefix. Thread-safe. The contract of the verbs
    stands in `taskflow.broker.Broker`."""

    def __init__(self, directory: Directory, reach: Reach) -> None:
        self._directory = directory
        self._reach = reach
        self._aliases: dict[str, str] = {}  # ids of those that were put: SNS gives its own
        self._policies: threading.Lock
        forking.anew(self, _policies=threading.Lock)

    def subscribe(self, topic: str, queue: str) -> None:
        self._check_order(topic, queue)
        self._directory.url(queue)
        self._let_send(topic, queue)
        try:
            self._directory.on_topic(
                topic,
                "subscribe",
                Protocol="sqs",
                Endpoint=self._directory.queue_arn(queue),
                Attributes={"RawMessageDelivery": "true"},
                ReturnSubscriptionArn=True,
            )
        except LimitExceeded as error:
            if "already exists" not in str(error):
                raise
            # It has attributes of its own, such as a filter policy: that is as good.
            if not any(one.raw for one in self.read(topic) if one.endpoint == queue):
                raise LimitExceeded(
                    f"queue {queue!r} subscribes to topic {topic!r} without raw delivery: its "
                    "messages arrive in SNS envelopes; set RawMessageDelivery to true"
                ) from None
        self._reach.forget(topic)

    @staticmethod
    def _check_order(topic: str, queue: str) -> None:
        if is_fifo(queue) and not is_fifo(topic):
            raise LimitExceeded(
                f"queue {queue!r} is FIFO and topic {topic!r} is not: its order would be lost"
            )

    def _let_send(self, topic: str, queue: str) -> None:
        """Let a topic send to a queue, beside whoever else may. SQS can only replace the whole
        policy, so look again whether somebody else did the same in between."""
        directory = self._directory
        with self._policies:
            for _ in range(_POLICY_TRIES):
                present = directory.attributes(queue, "Policy").get("Policy")
                policy = allow_topic(
                    present, directory.queue_arn(queue), directory.topic_arn(topic)
                )
                if policy is None:
                    return
                directory.on_queue(queue, "set_queue_attributes", Attributes={"Policy": policy})
        raise BrokerUnavailable(
            f"the policy of queue {queue!r} changed {_POLICY_TRIES} times while topic {topic!r} "
            "was being allowed to send to it"
        )

    def put(self, subscription: TopicSubscription) -> None:
        if subscription.filter_policy is not None:
            parse_filter(subscription.filter_policy, subscription.filter_scope)
        topic, endpoint = subscription.topic, subscription.endpoint
        if subscription.protocol == "sqs":
            self._check_order(topic, endpoint)
            self._directory.url(endpoint)
            self._let_send(topic, endpoint)
            endpoint = self._directory.queue_arn(endpoint)
        arn = self._find(subscription, endpoint)
        if arn is not None and (before := self._read_one(arn)) is not None:
            if (before.topic, before.endpoint) == (topic, subscription.endpoint):
                self._change(arn, subscription, before)
                self._aliases[subscription.id] = arn
                return
            self._directory.api.call("sns", "unsubscribe", topic, SubscriptionArn=arn)
        answer = self._directory.on_topic(
            topic,
            "subscribe",
            Protocol=subscription.protocol,
            Endpoint=endpoint,
            Attributes=write_subscription(subscription, self._directory.queue_arn),
            ReturnSubscriptionArn=True,
        )
        self._aliases[subscription.id] = answer["SubscriptionArn"]
        self._reach.forget(topic)

    def _change(self, arn: str, wanted: TopicSubscription, before: TopicSubscription) -> None:
        changed = changed_subscription(wanted, before, self._directory.queue_arn)
        for name, text in changed.items():
            self._directory.api.call(
                "sns",
                "set_subscription_attributes",
                wanted.topic,
                SubscriptionArn=arn,
                AttributeName=name,
                AttributeValue=text,
            )

    def _find(self, wanted: TopicSubscription, endpoint: str) -> str | None:
        """The ARN of the subscription of this id, else of the one to this endpoint."""
        alias = self._aliases.get(wanted.id)
        found = None
        for one in self._listed(wanted.topic):
            arn = str(one["SubscriptionArn"])
            if arn == alias or arn.endswith(f":{wanted.id}"):
                return arn
            if ":" in arn and (one["Protocol"], one["Endpoint"]) == (wanted.protocol, endpoint):
                found = arn
        return found

    def _arn_of(self, id: str) -> str | None:
        if id in self._aliases:
            return self._aliases[id]
        for one in self._directory.pages("list_subscriptions", "Subscriptions"):
            if one["SubscriptionArn"].endswith(f":{id}"):
                return str(one["SubscriptionArn"])
        return None

    def remove(self, id: str) -> None:
        arn = self._arn_of(id)
        if arn is not None:
            self._directory.api.call("sns", "unsubscribe", id, SubscriptionArn=arn)
            self._aliases.pop(id, None)
            self._reach.forget_all()

    def remove_all(self, topic: str) -> None:
        """Remove every subscription of a topic. Raises TopicNotFound."""
        for one in self._listed(topic):
            if ":" in one["SubscriptionArn"]:
                self._directory.api.call(
                    "sns", "unsubscribe", topic, SubscriptionArn=one["SubscriptionArn"]
                )

    def _listed(self, topic: str) -> list[Any]:
        return self._directory.pages("list_subscriptions_by_topic", "Subscriptions", topic)

    def read(self, topic: str | None = None) -> list[TopicSubscription]:
        listed = (
            self._directory.pages("list_subscriptions", "Subscriptions")
            if topic is None
            else self._listed(topic)
        )
        read = [
            self._read_one(one["SubscriptionArn"])
            for one in listed
            if ":" in one["SubscriptionArn"] and self._directory.topic_of(one["TopicArn"])
        ]
        found = [one for one in read if one is not None]
        return sorted(found, key=lambda one: (one.topic, one.endpoint))

    def _read_one(self, arn: str) -> TopicSubscription | None:
        """A subscription; None when it is gone."""
        try:
            answer = self._directory.api.call(
                "sns", "get_subscription_attributes", arn, SubscriptionArn=arn
            )
        except TopicNotFound:
            return None
        texts = answer["Attributes"]
        topic_arn, _, id = arn.rpartition(":")
        topic = self._directory.topic_of(topic_arn) or topic_arn
        protocol, endpoint = texts["Protocol"], texts["Endpoint"]
        return read_subscription(id, topic, protocol, endpoint, texts, self._directory.queue_of)
