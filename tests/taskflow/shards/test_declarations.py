"""Declarations are the same in all files, and are made so again after a death between two."""

from collections.abc import Callable

import pytest

from taskflow.broker.settings import QueueSettings, TopicSettings, TopicSubscription
from taskflow.brokers.sharded.broker import ShardedBroker
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.message import Message
from tests.taskflow.shards.dying import dying_before_the_commit_of, id_in

Open = Callable[[], ShardedBroker]
HOOK = TopicSubscription("hook", "made", "https", "https://example.com/", filter_policy='{"a":[1]}')


def said(broker: StoredBroker) -> object:
    """All that a file declares."""
    queues = {*broker.queues(), *(one.queue for one in broker.subscriptions() if one.raw)}
    queues -= {"work"} - {*broker.queues()}
    return (
        {name: (broker.topic_settings(name), _tags(broker, name)) for name in broker.topics()},
        {
            name: (broker.settings(name), broker.describe_queue(name).tags)
            for name in sorted(queues)
        },
        broker.subscriptions(),
        broker.counts("work").paused if "work" in broker.queues() else None,
        broker.identity(),
    )


def _tags(broker: StoredBroker, topic: str) -> object:
    return broker.describe_topic(topic).tags


CHANGES: list[Callable[[ShardedBroker], object]] = [
    lambda broker: broker.create_topic("other", TopicSettings(signature_version=2)),
    lambda broker: broker.set_topic("made", TopicSettings(max_message_bytes=2000)),
    lambda broker: broker.delete_topic("made"),
    lambda broker: broker.create_queue("other", QueueSettings(delay=5)),
    lambda broker: broker.set_queue("work", QueueSettings(delay=7)),
    lambda broker: broker.delete_queue("work"),
    lambda broker: broker.subscribe("made", "work-dlq"),
    lambda broker: broker.put_subscription(HOOK),
    lambda broker: broker.unsubscribe(broker.subscriptions()[0].id),
    lambda broker: broker.tag_queue("work", {"a": "b", "old": None}),
    lambda broker: broker.tag_topic("made", {"a": "b"}),
    lambda broker: broker.pause("work"),
    lambda broker: broker.set_identity({"account": "1"}),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_in_all_files_or_made_so(
    broker: ShardedBroker, opened: Open, change: Callable[[ShardedBroker], object]
) -> None:
    broker.tag_queue("work", {"old": "x"})
    before = said(broker.shards[0].broker)
    with dying_before_the_commit_of(broker, 0):
        change(broker)
    leader, other = (shard.broker for shard in broker.shards)
    assert said(leader) == before
    assert said(other) != before
    wanted = said(other)
    opened()
    assert said(leader) == said(other) == wanted


def test_a_death_before_the_first_commit_changes_nothing(
    broker: ShardedBroker, opened: Open
) -> None:
    before = said(broker.shards[0].broker)
    with dying_before_the_commit_of(broker, 1):
        broker.create_queue("other")
    opened()
    assert said(broker.shards[0].broker) == said(broker.shards[1].broker) == before


def test_the_next_change_mends_first_as_upkeep_does(broker: ShardedBroker) -> None:
    with dying_before_the_commit_of(broker, 0):
        broker.create_queue("one")
    broker.create_queue("two")
    assert {"one", "two"} <= {*broker.queues()}
    with dying_before_the_commit_of(broker, 0):
        broker.delete_queue("one")
    broker.upkeep()
    assert "one" not in broker.queues()


def test_what_is_declared_together_is_there_together(broker: ShardedBroker) -> None:
    def work() -> None:
        broker.create_queue("one")
        broker.create_queue("two")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        broker.together(work)
    for shard in broker.shards:
        assert "one" not in shard.broker.queues()


def test_mending_leaves_the_messages_of_queues_that_stay(
    broker: ShardedBroker, opened: Open
) -> None:
    broker.send("work", [Message(id_in(0), "x"), Message(id_in(1), "x")])
    with dying_before_the_commit_of(broker, 0):
        broker.set_queue("work", QueueSettings(delay=3))
    assert opened().counts("work").visible == 2
