"""The settings of topics and subscriptions as attributes of SNS, and back.

https://docs.aws.amazon.com/sns/latest/api/API_SetTopicAttributes.html
https://docs.aws.amazon.com/sns/latest/api/API_SetSubscriptionAttributes.html
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from taskflow.broker.settings import TopicSettings, TopicSubscription
from taskflow.brokers.aws.queue_attributes import same_policy
from taskflow.errors import LimitExceeded
from taskflow.limits import is_fifo

_SCOPES = {"topic": "Topic", "messageGroup": "MessageGroup"}
_OTHERS = ("DisplayName", "DeliveryPolicy", "KmsMasterKeyId", "TracingConfig")
_SUBSCRIPTION_OTHERS = ("DeliveryPolicy", "SubscriptionRoleArn")
_DEFAULT_POLICY = "__default_policy_ID"


def write_topic(topic: str, settings: TopicSettings) -> dict[str, str]:
    """The attributes of a topic of these settings. Raises LimitExceeded for those of FIFO topics
    on another."""
    texts = {
        "MaximumMessageSize": str(settings.max_message_bytes),
        "SignatureVersion": str(settings.signature_version),
        "Policy": settings.policy or "",
        **settings.others,
    }
    if is_fifo(topic):
        texts["ContentBasedDeduplication"] = str(settings.content_based_deduplication).lower()
        texts["FifoThroughputScope"] = _SCOPES[settings.deduplication_scope]
    elif settings.content_based_deduplication or settings.deduplication_scope != "topic":
        raise LimitExceeded(f"topic {topic!r} is not FIFO: it deduplicates nothing")
    return texts


def changed_attributes(topic: str, wanted: TopicSettings, before: TopicSettings) -> dict[str, str]:
    """The attributes to set so that a topic has the wanted settings; empty texts take back."""
    texts, old = write_topic(topic, wanted), write_topic(topic, before)
    return {
        name: texts.get(name, "") for name in {**old, **texts} if texts.get(name) != old.get(name)
    }


def read_topic(topic: str, texts: Mapping[str, str]) -> TopicSettings:
    """The settings in the attributes of a topic. The policy that SNS gives every topic says
    nothing."""
    policy = texts.get("Policy")
    if policy and json.loads(policy).get("Id") == _DEFAULT_POLICY:
        policy = None
    scope = texts.get("FifoThroughputScope", "Topic")
    return TopicSettings(
        content_based_deduplication=texts.get("ContentBasedDeduplication") == "true",
        deduplication_scope="messageGroup"
        if is_fifo(topic) and scope == "MessageGroup"
        else "topic",
        max_message_bytes=int(texts.get("MaximumMessageSize") or TopicSettings().max_message_bytes),
        signature_version=2 if texts.get("SignatureVersion") == "2" else 1,
        policy=policy,
        others={name: texts[name] for name in _OTHERS if texts.get(name)},
    )


def topic_differences(found: TopicSettings, declared: TopicSettings) -> str:
    """Each attribute in which two settings differ, as text; empty when none does."""
    return "; ".join(
        f"{field.name} is {getattr(found, field.name)}, declared as {getattr(declared, field.name)}"
        for field in fields(found)
        if not (
            same_policy(found.policy, declared.policy)
            if field.name == "policy"
            else getattr(found, field.name) == getattr(declared, field.name)
        )
    )


# ---- subscriptions --------------------------------------------------------------------------
def write_subscription(
    subscription: TopicSubscription, arn_of: Callable[[str], str]
) -> dict[str, str]:
    """The attributes of a subscription, for Subscribe: without what is the default."""
    texts = dict(subscription.others)
    if subscription.raw:
        texts["RawMessageDelivery"] = "true"
    if subscription.filter_policy is not None:
        texts["FilterPolicy"] = subscription.filter_policy
        texts["FilterPolicyScope"] = subscription.filter_scope
    if subscription.dead_letter_queue is not None:
        target = arn_of(subscription.dead_letter_queue)
        texts["RedrivePolicy"] = json.dumps({"deadLetterTargetArn": target})
    return texts


def changed_subscription(
    wanted: TopicSubscription, before: TopicSubscription, arn_of: Callable[[str], str]
) -> dict[str, str]:
    """The attributes to set so that a subscription is the wanted one, in the order to set them."""
    texts, old = write_subscription(wanted, arn_of), write_subscription(before, arn_of)
    empty = {"RawMessageDelivery": "false", "FilterPolicy": "{}", "RedrivePolicy": "{}"}
    changed = {
        name: texts.get(name, empty.get(name, ""))
        for name in {**old, **texts}
        if texts.get(name) != old.get(name)
    }
    if "FilterPolicy" not in texts:  # the scope means nothing without a policy
        changed.pop("FilterPolicyScope", None)
    # The scope first: it decides which policies are valid.
    return dict(sorted(changed.items(), key=lambda item: item[0] != "FilterPolicyScope"))


def read_subscription(
    id: str,
    topic: str,
    protocol: Any,
    endpoint: str,
    texts: Mapping[str, str],
    queue_of: Callable[[str], str | None],
) -> TopicSubscription:
    """A subscription by its attributes."""
    redrive = json.loads(texts.get("RedrivePolicy") or "{}").get("deadLetterTargetArn")
    scope: Any = texts.get("FilterPolicyScope") or "MessageAttributes"
    policy = texts.get("FilterPolicy")
    return TopicSubscription(
        id,
        topic,
        protocol,
        (queue_of(endpoint) or endpoint) if protocol == "sqs" else endpoint,
        raw=texts.get("RawMessageDelivery") == "true",
        filter_policy=policy if policy and json.loads(policy) else None,
        filter_scope=scope,
        dead_letter_queue=(queue_of(redrive) or redrive) if redrive else None,
        pending=texts.get("PendingConfirmation") == "true",
        others={name: texts[name] for name in _SUBSCRIPTION_OTHERS if texts.get(name)},
    )
