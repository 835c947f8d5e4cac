"""ListTopic: a topic of the list broker."""

from dataclasses import dataclass, field, replace

from taskflow.broker.settings import TopicSettings, TopicSubscription
from taskflow.filters import parse_filter
from taskflow.message import Message


@dataclass(slots=True)
class ListTopic:
    """Its settings and its subscriptions."""

    name: str
    settings: TopicSettings
    created_at: float
    modified_at: float
    subscriptions: list[TopicSubscription] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

    def copy(self) -> "ListTopic":
        return replace(self, subscriptions=[*self.subscriptions], tags={**self.tags})

    def remove(self, id: str) -> None:
        self.subscriptions = [one for one in self.subscriptions if one.id != id]


def wants(subscription: TopicSubscription, message: Message) -> bool:
    """Whether the filter policy of a subscription lets a message through."""
    if subscription.filter_policy is None:
        return True
    found = parse_filter(subscription.filter_policy, subscription.filter_scope)
    return found.matches(message.attributes, message.body)
