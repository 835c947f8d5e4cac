"""The attributes of a subscription as SNS names and writes them, to and from the subscription.

What is read here SNS, or our server, has accepted before: refusing it in SNS's words is the
server's (`server.sns_subscription_attributes`).
https://docs.aws.amazon.com/sns/latest/api/API_SetSubscriptionAttributes.html
"""

import json
from collections.abc import Mapping
from typing import Any

from taskflow.broker.settings import TopicSubscription
from taskflow.wire.redrive import ArnOf, NameOf, read_redrive, write_redrive

KEPT = ("DeliveryPolicy", "SubscriptionRoleArn")
"""What is only kept and shown."""
SCOPES = ("MessageAttributes", "MessageBody")
_TAKEN_BACK = {"RawMessageDelivery": "false", "FilterPolicy": "{}", "RedrivePolicy": "{}"}


def write_subscription(subscription: TopicSubscription, arn_of: ArnOf) -> dict[str, str]:
    """The attributes of a subscription, without those that were not set."""
    texts = dict(subscription.others)
    if subscription.raw:
        texts["RawMessageDelivery"] = "true"
    if subscription.filter_policy is not None:
        texts["FilterPolicy"] = subscription.filter_policy
        texts["FilterPolicyScope"] = subscription.filter_scope
    if subscription.dead_letter_queue is not None:
        texts["RedrivePolicy"] = write_redrive(arn_of(subscription.dead_letter_queue))
    return texts


def changed_subscription(
    wanted: TopicSubscription, before: TopicSubscription, arn_of: ArnOf
) -> dict[str, str]:
    """The attributes to set so that a subscription is the wanted one, in the order to set them."""
    texts, old = write_subscription(wanted, arn_of), write_subscription(before, arn_of)
    changed = {
        name: texts.get(name, _TAKEN_BACK.get(name, ""))
        for name in {**old, **texts}
        if texts.get(name) != old.get(name)
    }
    if "FilterPolicy" not in texts:  # the scope means nothing without a policy
        changed.pop("FilterPolicyScope", None)
    return in_order(changed)


def in_order(attributes: Mapping[str, str]) -> dict[str, str]:
    """The scope first: it decides which filter policies are valid."""
    return dict(sorted(attributes.items(), key=lambda item: item[0] != "FilterPolicyScope"))


def read_subscription(
    id: str, topic: str, protocol: Any, endpoint: str, texts: Mapping[str, str], name_of: NameOf
) -> TopicSubscription:
    """A subscription by its attributes. A queue that is not ours keeps its ARN."""
    redrive = read_redrive(texts.get("RedrivePolicy"))
    scope: Any = texts.get("FilterPolicyScope") or "MessageAttributes"
    policy = texts.get("FilterPolicy")
    return TopicSubscription(
        id,
        topic,
        protocol,
        (name_of(endpoint) or endpoint) if protocol == "sqs" else endpoint,
        raw=texts.get("RawMessageDelivery") == "true",
        filter_policy=policy if policy and json.loads(policy) else None,
        filter_scope=scope,
        dead_letter_queue=(name_of(redrive[0]) or redrive[0]) if redrive else None,
        pending=texts.get("PendingConfirmation") == "true",
        others={name: texts[name] for name in KEPT if texts.get(name)},
    )
