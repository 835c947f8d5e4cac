"""Subscriptions that wait, end, or outlive what they point at; and those that call a URL."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from taskflow.broker import Broker
from taskflow.broker.settings import TopicSubscription
from taskflow.errors import QueueNotFound, TopicNotFound
from taskflow.message import Message
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.fixtures import *
from taskflow.testing.contract.needs import needs

Publish = Callable[[str], int]


@pytest.fixture
def publish(broker: Broker) -> Publish:
    """Publish one message to the topic `made` by id; answers how many it reached."""
    broker.create_topic("made")
    broker.create_queue("q")

    def publish(id: str) -> int:
        return broker.publish("made", [Message(id, "x")]).subscriptions

    return publish


def subscription(id: str, endpoint: str = "q", **more: Any) -> TopicSubscription:
    return TopicSubscription(id, "made", more.pop("protocol", "sqs"), endpoint, **more)


def ids(broker: Broker, queue: str = "q") -> list[str]:
    return [one.id for one in broker.receive(queue, limit=100)]


@needs("filters", "envelopes", "dead_letters")
def test_every_field_of_a_subscription_is_kept(broker: Broker, publish: Publish) -> None:
    wanted = subscription(
        "s",
        raw=False,
        filter_policy='{"a": ["b"]}',
        filter_scope="MessageBody",
        dead_letter_queue="dead",
        pending=True,
        token="secret",
        others={"DeliveryPolicy": "{}"},
    )
    broker.put_subscription(wanted)
    assert broker.subscriptions() == broker.subscriptions("made") == [wanted]
    broker.create_topic("other")
    assert broker.subscriptions("other") == []


def test_subscriptions_are_sorted_by_topic_and_endpoint(broker: Broker, publish: Publish) -> None:
    broker.create_topic("a")
    broker.create_queue("b")
    for topic in ("made", "a"):
        for queue in ("q", "b"):
            broker.subscribe(topic, queue)
    found = [(one.topic, one.endpoint) for one in broker.subscriptions()]
    assert found == [("a", "b"), ("a", "q"), ("made", "b"), ("made", "q")]


def test_putting_the_same_id_replaces(broker: Broker, publish: Publish) -> None:
    broker.create_queue("r")
    broker.put_subscription(subscription("s", "q"))
    broker.put_subscription(subscription("s", "r"))
    assert publish("1") == 1
    assert (ids(broker), ids(broker, "r")) == ([], ["1"])


@pytest.mark.parametrize("protocol", ["sqs", pytest.param("http", marks=needs("urls"))])
def test_a_pending_subscription_gets_nothing_until_confirmed(
    broker: Broker, publish: Publish, protocol: str
) -> None:
    endpoint = "q" if protocol == "sqs" else "http://a"
    waiting = subscription("s", endpoint, protocol=protocol, pending=True, token="t")
    broker.put_subscription(waiting)
    assert publish("1") == 0
    broker.put_subscription(replace(waiting, pending=False, token=None))
    assert publish("2") == 1
    assert ids(broker, waiting.queue) == ["2"]


def test_unsubscribing_ends_delivery_and_may_be_repeated(broker: Broker, publish: Publish) -> None:
    broker.subscribe("made", "q")
    publish("1")
    (found,) = broker.subscriptions()
    for _ in range(2):
        broker.unsubscribe(found.id)
    assert broker.subscriptions() == []
    assert publish("2") == 0
    assert ids(broker) == ["1"]


def test_a_subscription_outlives_its_queue(broker: Broker, publish: Publish) -> None:
    broker.subscribe("made", "q")
    publish("1")
    before = broker.subscriptions()
    broker.delete_queue("q")
    assert broker.subscriptions() == before
    assert publish("2") == 0
    broker.create_queue("q")
    assert publish("3") == 1
    assert ids(broker) == ["3"]


@needs("tags")
def test_a_deleted_topic_leaves_messages_and_nothing_else(broker: Broker, publish: Publish) -> None:
    broker.create_topic("other")
    broker.subscribe("made", "q")
    broker.subscribe("other", "q")
    publish("1")
    broker.tag_topic("made", {"a": "b"})
    for _ in range(2):
        broker.delete_topic("made")
    assert broker.topics() == ["other"]
    assert [one.topic for one in broker.subscriptions()] == ["other"]
    for verb in (publish, broker.topic_settings, broker.describe_topic):
        with pytest.raises(TopicNotFound):
            verb("made")
    assert ids(broker) == ["1"]
    broker.create_topic("made")
    assert broker.describe_topic("made").tags == {}
    assert publish("2") == 0


@needs("urls")
def test_what_goes_to_a_url_waits_in_a_hidden_queue(broker: Broker, publish: Publish) -> None:
    called = subscription("s", "https://a/b", protocol="https", raw=False)
    broker.put_subscription(called)
    assert publish("1") == 1
    assert broker.queues() == ["q"]
    (kept,) = broker.peek(called.queue)
    assert (kept.id, kept.body) == ("1", "x"), "whoever calls the URL writes the envelope"
    with pytest.raises(QueueNotFound, match=r"known: q$"):
        broker.counts("nosuch-at-all")


@needs("urls")
@pytest.mark.parametrize("end", ["unsubscribe", "delete_topic"])
def test_a_hidden_queue_goes_with_its_subscription(
    broker: Broker, publish: Publish, end: str
) -> None:
    called = subscription("s", "http://a", protocol="http")
    broker.put_subscription(called)
    publish("1")
    if end == "unsubscribe":
        broker.unsubscribe("s")
    else:
        broker.delete_topic("made")
    with pytest.raises(QueueNotFound):
        broker.counts(called.queue)


@needs("urls")
def test_confirming_keeps_what_waits(broker: Broker, publish: Publish) -> None:
    called = subscription("s", "http://a", protocol="http")
    broker.put_subscription(called)
    publish("1")
    broker.put_subscription(replace(called, others={"DeliveryPolicy": "{}"}))
    assert ids(broker, called.queue) == ["1"]


@needs("dead_letters")
def test_what_a_deleted_queue_cannot_take_goes_to_the_subscriptions_dead_letter_queue(
    broker: Broker,
) -> None:
    broker.create_topic("t")
    broker.create_queue("q")
    broker.create_queue("lost")
    broker.put_subscription(TopicSubscription("s", "t", "sqs", "q", dead_letter_queue="lost"))
    broker.publish("t", [Message("1", "before")])
    broker.delete_queue("q")
    broker.publish("t", [Message("2", "while it is gone")])
    broker.create_queue("q")
    broker.publish("t", [Message("3", "after")])
    assert [one.body for one in broker.receive("lost", limit=10)] == ["while it is gone"]
    assert [one.body for one in broker.receive("q", limit=10)] == ["after"]


__all__ = collected(globals())
