"""Reach: how many queues a topic delivers to, as far as it is known without asking each time."""

from taskflow.brokers.aws.directory import Directory
from taskflow.clock import Clock
from taskflow.errors import BrokerUnavailable

KEPT = 60.0  # seconds for which the number of subscriptions of a topic is believed


class Reach:
    """Per topic. Not locked: threads that overwrite each other cost a request at worst."""

    def __init__(self, clock: Clock, directory: Directory) -> None:
        self._clock = clock
        self._directory = directory
        self._known: dict[str, tuple[int, float]] = {}  # how many, until when that counts

    def count(self, topic: str) -> int:
        """How many queues a publish reaches. Asked once a minute: it costs a request. Whoever may
        publish but not look is told 1."""
        now = self._clock.now()
        count, until = self._known.get(topic, (0, 0.0))
        if now < until:
            return count
        try:
            answer = self._directory.on_topic(topic, "get_topic_attributes")
            count = int(answer["Attributes"].get("SubscriptionsConfirmed", 0))
            if not count:  # the number lags behind, the list does not
                count = len(
                    self._directory.pages("list_subscriptions_by_topic", "Subscriptions", topic)
                )
        except BrokerUnavailable:
            count = 1
        if count:
            self._known[topic] = count, now + KEPT
        return count

    def count_readers(self, topic: str) -> int:
        """How many queues will acknowledge a payload, asked for each: a queue too few would have
        it removed under the others. 0 for whoever may publish but not look."""
        try:
            found = self._directory.pages("list_subscriptions_by_topic", "Subscriptions", topic)
        except BrokerUnavailable:
            return 0
        return len(found)

    def forget(self, topic: str) -> None:
        """Its subscriptions have changed."""
        self._known.pop(topic, None)

    def forget_all(self) -> None:
        """Subscriptions of a topic that nobody knows have changed."""
        self._known.clear()
