"""The attributes of a topic as SNS names and writes them, to and from its settings.

What is read here SNS, or our server, has accepted before: refusing it in SNS's words is the
server's (`server.sns_attributes`).
https://docs.aws.amazon.com/sns/latest/api/API_SetTopicAttributes.html
"""

import json
from collections.abc import Mapping

from taskflow.broker.settings import TopicSettings
from taskflow.limits import is_fifo

SCOPES = {"Topic": "topic", "MessageGroup": "messageGroup"}
KEPT = ("DisplayName", "DeliveryPolicy", "KmsMasterKeyId", "TracingConfig")
"""What is only kept and shown."""
OF_FIFO = ("ContentBasedDeduplication", "FifoThroughputScope")
DEFAULT_POLICY_ID = "__default_policy_ID"
_OWNER_ACTIONS = (
    *("GetTopicAttributes", "SetTopicAttributes", "AddPermission", "RemovePermission"),
    *("DeleteTopic", "Subscribe", "ListSubscriptionsByTopic", "Publish"),
)
_DEFAULT = TopicSettings()


def write_topic(topic: str, settings: TopicSettings) -> dict[str, str]:
    """The attributes of a topic, without those that were not set."""
    texts = dict(settings.others)
    if settings.max_message_bytes != _DEFAULT.max_message_bytes:
        texts["MaximumMessageSize"] = str(settings.max_message_bytes)
    if settings.signature_version != _DEFAULT.signature_version:
        texts["SignatureVersion"] = str(settings.signature_version)
    if settings.policy is not None:
        texts["Policy"] = settings.policy
    if is_fifo(topic):
        texts["ContentBasedDeduplication"] = str(settings.content_based_deduplication).lower()
        if settings.deduplication_scope != _DEFAULT.deduplication_scope:
            texts["FifoThroughputScope"] = "MessageGroup"
    return texts


def changed_topic(topic: str, wanted: TopicSettings, before: TopicSettings) -> dict[str, str]:
    """The attributes to set so that a topic on SNS has the wanted settings; what is the default
    again is written out, and an empty text takes back the rest."""
    texts, old = write_topic(topic, wanted), write_topic(topic, before)
    defaults = {
        "MaximumMessageSize": str(_DEFAULT.max_message_bytes),
        "SignatureVersion": str(_DEFAULT.signature_version),
        "FifoThroughputScope": "Topic",
    }
    return {
        name: texts.get(name, defaults.get(name, ""))
        for name in {**old, **texts}
        if texts.get(name) != old.get(name)
    }


def read_topic(topic: str, texts: Mapping[str, str]) -> TopicSettings:
    """The settings in the attributes of a topic. The policy that SNS gives every topic says
    nothing."""
    policy = texts.get("Policy") or None
    if policy is not None and json.loads(policy).get("Id") == DEFAULT_POLICY_ID:
        policy = None
    per_group = is_fifo(topic) and texts.get("FifoThroughputScope") == "MessageGroup"
    return TopicSettings(
        content_based_deduplication=texts.get("ContentBasedDeduplication") == "true",
        deduplication_scope="messageGroup" if per_group else "topic",
        max_message_bytes=int(texts.get("MaximumMessageSize") or _DEFAULT.max_message_bytes),
        signature_version=2 if texts.get("SignatureVersion") == "2" else 1,
        policy=policy,
        others={name: texts[name] for name in KEPT if texts.get(name)},
    )


def default_policy(arn: str, account: str) -> str:
    """The policy of a topic that was given none: its owner may do everything."""
    statement = {
        "Sid": "__default_statement_ID",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": [f"SNS:{action}" for action in _OWNER_ACTIONS],
        "Resource": arn,
        "Condition": {"StringEquals": {"AWS:SourceOwner": account}},
    }
    return json.dumps({"Version": "2008-10-17", "Id": DEFAULT_POLICY_ID, "Statement": [statement]})
