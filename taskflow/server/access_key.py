"""An access key, and what it allows: verbs, on the queues and topics that its globs name."""

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal, get_args

Verb = Literal["send", "receive", "publish", "read", "manage"]
VERBS: tuple[Verb, ...] = get_args(Verb)

# What is not here takes `manage`. A sender and a receiver find their queue by name, and a receiver
# sees how long it is, as in AWS's own poller policies.
VERBS_OF: dict[str, tuple[Verb, ...]] = {
    "sqs:SendMessage": ("send",),
    "sqs:SendMessageBatch": ("send",),
    "sqs:ReceiveMessage": ("receive",),
    "sqs:DeleteMessage": ("receive",),
    "sqs:DeleteMessageBatch": ("receive",),
    "sqs:ChangeMessageVisibility": ("receive",),
    "sqs:ChangeMessageVisibilityBatch": ("receive",),
    "sqs:GetQueueUrl": ("send", "receive", "read"),
    "sqs:GetQueueAttributes": ("receive", "read"),
    "sqs:ListQueues": ("read",),
    "sqs:ListQueueTags": ("read",),
    "sqs:ListDeadLetterSourceQueues": ("read",),
    "sqs:ListMessageMoveTasks": ("read",),
    "sns:Publish": ("publish",),
    "sns:PublishBatch": ("publish",),
    "sns:GetTopicAttributes": ("read",),
    "sns:GetSubscriptionAttributes": ("read",),
    "sns:GetDataProtectionPolicy": ("read",),
    "sns:ListTopics": ("read",),
    "sns:ListSubscriptions": ("read",),
    "sns:ListSubscriptionsByTopic": ("read",),
    "sns:ListTagsForResource": ("read",),
}
# Their answers tell names; those of ListSubscriptions, URLs with passwords perhaps.
_OF_ALL = frozenset({"sqs:ListQueues", "sns:ListTopics"})


@dataclass(frozen=True, slots=True)
class Key:
    """An access key: what may be done (`verbs`) with which queues and topics (globs)."""

    access_key_id: str
    secret: str = field(repr=False)
    name: str
    created_at: float
    queues: tuple[str, ...] = ("*",)
    topics: tuple[str, ...] = ("*",)
    verbs: tuple[Verb, ...] = VERBS


def allows(key: Key, service: str, action: str, resource_name: str | None) -> bool:
    """Whether a key may do an action (`SendMessage`) of `sqs` or `sns` on a queue or topic.

    `resource_name=None` is for what concerns no single queue or topic, such as ListQueues; for
    other actions only a key for all (`*`) passes without a name. Anyone may ask STS who they are.
    """
    if service == "sts":
        return action == "GetCallerIdentity"
    globs = {"sqs": key.queues, "sns": key.topics}.get(service, ())
    called = f"{service}:{action}"
    if not set(VERBS_OF.get(called, ("manage",))) & set(key.verbs):
        return False
    if resource_name is None:
        return "*" in globs or (bool(globs) and called in _OF_ALL)
    return any(_covers(glob, resource_name) for glob in globs)


def covers(key: Key, queue: str) -> bool:
    """Whether a queue is one of a key's."""
    return any(_covers(glob, queue) for glob in key.queues)


def _covers(glob: str, name: str) -> bool:
    """Whether a glob names it. Only `*` alone reaches into other regions (`us-west-2/orders`); in
    other globs a wildcard does not cross the slash."""
    if glob == "*":
        return True
    return glob.count("/") == name.count("/") and all(
        map(fnmatchcase, name.split("/"), glob.split("/"))
    )
