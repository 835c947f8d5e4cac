"""Settings, times and tags of queues and topics, given back as they were; and what is deleted."""

from dataclasses import fields, replace
from typing import Any

import pytest

from taskflow.broker import Broker, QueueSettings
from taskflow.broker.settings import Described, TopicSettings
from taskflow.errors import (
    LimitExceeded,
    QueueExists,
    QueueNotFound,
    TopicExists,
    TopicNotFound,
)
from taskflow.message import Message
from taskflow.testing import ManualClock
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.fixtures import *
from taskflow.testing.contract.needs import needs

FULL = QueueSettings(
    visibility_timeout=1.5,
    delay=2.0,
    retention=3600.0,
    dead_letter_queue="dead.fifo",
    max_receives=4,
    receive_wait=5.0,
    max_message_bytes=2048,
    content_based_deduplication=True,
    deduplication_scope="messageGroup",
    throughput_limit="perMessageGroupId",
    redrive_sources=("a.fifo", "b.fifo"),
    policy='{"Statement": []}',
    others={"KmsMasterKeyId": "k"},
)

FULL_TOPIC = TopicSettings(True, "messageGroup", 4096, 2, '{"Statement": []}', {"DisplayName": "d"})


# ---- settings -------------------------------------------------------------------------------
@needs("fifo", "dead_letters")
def test_every_setting_of_a_queue_is_kept(broker: Broker) -> None:
    assert all(
        getattr(FULL, one.name) != getattr(QueueSettings(), one.name) for one in fields(FULL)
    )
    broker.create_queue("dead.fifo")
    broker.create_queue("q.fifo", FULL)
    assert broker.settings("q.fifo") == FULL
    broker.create_queue("q.fifo", FULL)
    for one in fields(FULL):
        if one.name not in ("dead_letter_queue", "max_receives", "deduplication_scope"):
            other = replace(FULL, **{one.name: getattr(QueueSettings(), one.name)})
            with pytest.raises(QueueExists, match=f"^[^;]*: {one.name} is [^;]*$"):
                broker.create_queue("q.fifo", other)
    broker.set_queue("q.fifo", QueueSettings())
    assert broker.settings("q.fifo") == QueueSettings()


@needs("fifo")
def test_every_setting_of_a_topic_is_kept(broker: Broker) -> None:
    plain = TopicSettings()
    assert all(getattr(FULL_TOPIC, one.name) != getattr(plain, one.name) for one in fields(plain))
    broker.create_topic("t.fifo", FULL_TOPIC)
    broker.create_topic("t.fifo", FULL_TOPIC)
    assert broker.topic_settings("t.fifo") == FULL_TOPIC
    with pytest.raises(TopicExists, match="signature_version is 2, declared as 1"):
        broker.create_topic("t.fifo", replace(FULL_TOPIC, signature_version=1))
    broker.set_topic("t.fifo", plain)
    assert broker.topic_settings("t.fifo") == plain
    with pytest.raises(TopicNotFound):
        broker.set_topic("nosuch", plain)


@pytest.mark.parametrize(
    "settings",
    [
        QueueSettings(content_based_deduplication=True),
        QueueSettings(deduplication_scope="messageGroup"),
    ],
)
def test_a_standard_queue_refuses_what_is_for_fifo(broker: Broker, settings: QueueSettings) -> None:
    with pytest.raises(LimitExceeded, match="not FIFO"):
        broker.create_queue("q", settings)
    assert broker.queues() == []


def test_throughput_per_group_needs_deduplication_per_group() -> None:
    with pytest.raises(LimitExceeded, match="perMessageGroupId"):
        QueueSettings(throughput_limit="perMessageGroupId")


@needs("fifo", "dead_letters")
def test_a_dead_letter_queue_is_of_the_same_kind(broker: Broker) -> None:
    for name, dlq in (("q", "dead.fifo"), ("q.fifo", "dead")):
        broker.create_queue(dlq)
        broker.create_queue(name)
        with pytest.raises(LimitExceeded, match="differ"):
            broker.set_queue(name, QueueSettings(dead_letter_queue=dlq, max_receives=1))
        assert broker.settings(name) == QueueSettings()


@needs("dead_letters")
@pytest.mark.parametrize(
    ("sources", "allowed"), [(None, True), ((), False), (("other",), False), (("q", "o"), True)]
)
def test_a_dead_letter_queue_says_whose_it_is(
    broker: Broker, sources: tuple[str, ...] | None, allowed: bool
) -> None:
    broker.create_queue("dead", QueueSettings(redrive_sources=sources))
    wanted = QueueSettings(dead_letter_queue="dead", max_receives=1)
    if allowed:
        broker.create_queue("q", wanted)
        assert broker.settings("q") == wanted
    else:
        with pytest.raises(LimitExceeded, match="does not allow 'q'"):
            broker.create_queue("q", wanted)
        assert broker.queues() == ["dead"]


# ---- times and tags -------------------------------------------------------------------------
@needs("repairs", "tags")
def test_queues_and_topics_know_when_they_were_made_and_changed(
    broker: Broker, clock: ManualClock
) -> None:
    broker.create_queue("q")
    broker.create_topic("t")
    clock.advance(5)
    broker.create_queue("q")
    broker.tag_queue("q", {"a": "b"})
    assert broker.describe_queue("q") == Described(1000.0, 1000.0, {"a": "b"}, 0.0)
    broker.set_queue("q", QueueSettings(delay=1))
    broker.set_topic("t", TopicSettings(signature_version=2))
    clock.advance(5)
    broker.purged("q")
    assert broker.describe_queue("q") == Described(1000.0, 1005.0, {"a": "b"}, 1010.0)
    assert broker.describe_topic("t") == Described(1000.0, 1005.0, {})


@pytest.fixture(params=["queue", "topic"])
def tagging(request: pytest.FixtureRequest, broker: Broker) -> tuple[Any, Any]:
    """How to tag `x` and to look at it, for a queue or a topic."""
    if request.param == "queue":
        broker.create_queue("x")
        broker.create_topic("x")
        return broker.tag_queue, broker.describe_queue
    broker.create_topic("x")
    broker.create_queue("x")
    return broker.tag_topic, broker.describe_topic


@needs("tags")
def test_tags_are_set_replaced_and_removed(broker: Broker, tagging: tuple[Any, Any]) -> None:
    tag, describe = tagging
    tag("x", {"b": "1", "a": "", "c": "3"})
    tag("x", {"b": "2", "c": None, "nosuch": None})
    assert describe("x").tags == {"a": "", "b": "2"}
    others = (broker.describe_queue("x").tags, broker.describe_topic("x").tags)
    assert {} in others, "a queue and a topic of one name have tags of their own"
    with pytest.raises((QueueNotFound, TopicNotFound)):
        tag("nosuch", {"a": "b"})


@needs("tags")
def test_there_are_fifty_tags_at_most(tagging: tuple[Any, Any]) -> None:
    tag, describe = tagging
    fifty = {f"k{number}": "v" for number in range(50)}
    tag("x", fifty)
    with pytest.raises(LimitExceeded, match="51 tags; 50"):
        tag("x", {"k0": "changed", "one more": "v"})
    assert describe("x").tags == fifty
    tag("x", {"k0": None, "one more": "v"})
    assert len(describe("x").tags) == 50


@needs("dead_letters", "repairs")
def test_letters_of_a_deleted_queue_stay(broker: Broker, queue: str) -> None:
    broker.send(queue, [Message("1", "x")])
    broker.dead_letter([(broker.receive(queue)[0], "{}")])
    assert broker.peek("work-dlq")[0].source == "work"
    broker.delete_queue(queue)
    assert broker.peek("work-dlq")[0].source is None
    assert broker.redrive("work-dlq") == 0
    assert broker.counts("work-dlq").visible == 1


__all__ = collected(globals())
