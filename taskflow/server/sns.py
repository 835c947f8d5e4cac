"""SNS on the wire: its actions as one table."""

from taskflow.server.backend import Backend
from taskflow.server.sns_publish import PublishActions
from taskflow.server.sns_subscriptions import SubscriptionActions
from taskflow.server.sns_topics import TopicActions, refuse_data_protection
from taskflow.server.wire_call import Action, Call, Result


class Sns:
    """The actions of SNS over a backend."""

    def __init__(self, backend: Backend) -> None:
        self._topics = TopicActions(backend)
        self._subscriptions = SubscriptionActions(backend)
        self._publish = PublishActions(backend)

    def actions(self) -> dict[tuple[str, str], Action]:
        """By (service, operation). SMS and mobile push are refused before they get here."""
        topics, subscriptions, publish = self._topics, self._subscriptions, self._publish
        table: dict[str, Action] = {
            "AddPermission": topics.add_permission,
            "ConfirmSubscription": subscriptions.confirm_subscription,
            "CreateTopic": topics.create_topic,
            "DeleteTopic": topics.delete_topic,
            "GetDataProtectionPolicy": _no_data_protection,
            "GetSubscriptionAttributes": subscriptions.get_subscription_attributes,
            "GetTopicAttributes": topics.get_topic_attributes,
            "ListSubscriptions": subscriptions.list_subscriptions,
            "ListSubscriptionsByTopic": subscriptions.list_subscriptions_by_topic,
            "ListTagsForResource": topics.list_tags_for_resource,
            "ListTopics": topics.list_topics,
            "Publish": publish.publish,
            "PublishBatch": publish.publish_batch,
            "PutDataProtectionPolicy": _no_data_protection,
            "RemovePermission": topics.remove_permission,
            "SetSubscriptionAttributes": subscriptions.set_subscription_attributes,
            "SetTopicAttributes": topics.set_topic_attributes,
            "Subscribe": subscriptions.subscribe,
            "TagResource": topics.tag_resource,
            "Unsubscribe": subscriptions.unsubscribe,
            "UntagResource": topics.untag_resource,
        }
        return {("sns", name): action for name, action in table.items()}


def _no_data_protection(_: Call) -> Result:
    refuse_data_protection()
    return None
