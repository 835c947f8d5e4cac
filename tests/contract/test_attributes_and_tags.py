"""What is kept of messages, queues and topics, and given back as it was; and what is deleted."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest

from taskflow.broker import Broker, Finish, QueueSettings
from taskflow.broker.settings import Described, TopicSettings
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.errors import (
    LimitExceeded,
    QueueExists,
    QueueNotFound,
    TopicExists,
    TopicNotFound,
)
from taskflow.message import FAILURE, Attribute, Message
from taskflow.stores.sqlite.store import SqliteStore
from taskflow.testing import ManualClock

ATTRIBUTES: dict[str, str | Attribute] = {
    "plain": "käse ☃",
    "typed": Attribute("String", "text"),
    "own": Attribute("String.mine", "text"),
    "array": Attribute("String.Array", '["a", null]'),
    "number": Attribute("Number", "-1.50"),
    "int": Attribute("Number.int", "7"),
    "bytes": Attribute("Binary", bytes(range(256))),
    "png": Attribute("Binary.png", b"\x89PNG"),
    "empty": Attribute("Binary", b""),
}
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


@pytest.mark.differs("aws", "plain text and an Attribute of type String are one on the wire")
def test_attributes_keep_their_types(broker: Broker, queue: str) -> None:
    broker.publish("made", [Message("1", "x", ATTRIBUTES), Message("2", "x")])
    typed, plain = broker.receive(queue, limit=2)
    assert typed.attributes == ATTRIBUTES
    assert plain.attributes == {}
    assert broker.peek(queue)[0].attributes == ATTRIBUTES


@pytest.mark.differs("aws", "plain text and an Attribute of type String are one on the wire")
def test_attributes_keep_their_types_in_the_dlq_and_back(broker: Broker, queue: str) -> None:
    broker.send(queue, [Message("1", "x", ATTRIBUTES)])
    broker.dead_letter([(broker.receive(queue)[0], '{"reason": "ö"}')])
    (letter,) = broker.peek("work-dlq")
    assert letter.attributes == ATTRIBUTES | {FAILURE: '{"reason": "ö"}'}
    broker.redrive("work-dlq")
    assert broker.receive(queue)[0].attributes == ATTRIBUTES


def test_what_few_messages_have_travels_too(broker: Broker, queue: str) -> None:
    message = Message("1", "x", group="g", deduplication_id="d", trace="Root=1", sender="AIDA")
    broker.send(queue, [message])
    broker.dead_letter([(broker.receive(queue)[0], "{}")])
    broker.redrive("work-dlq")
    (one,) = broker.receive(queue)
    assert (one.group, one.deduplication_id, one.trace, one.sender) == ("g", "d", "Root=1", "AIDA")


@pytest.mark.parametrize(("name", "value"), [("a", 7), ("a", None), (7, "a"), ("a", ["b"])])
@pytest.mark.parametrize("typed", [True, False])
def test_other_attributes_are_refused(name: Any, value: Any, typed: bool) -> None:
    with pytest.raises(LimitExceeded, match="message attribute"):
        Message("1", "x", {name: Attribute("Number", value) if typed else value})


def test_attribute_types_and_bytes_count_in_the_size() -> None:
    message = Message("1", "é", {"ab": Attribute("Binary", b"123"), "c": "ü"})
    assert message.size == 2 + (2 + 6 + 3) + (1 + 6 + 2)


@pytest.mark.differs("aws", "taskflow's own attribute counts in the size")
def test_a_queue_takes_messages_up_to_its_size(broker: Broker) -> None:
    broker.create_queue("small", QueueSettings(max_message_bytes=1024))
    broker.send("small", [Message("1", "x" * 1024)])
    with pytest.raises(LimitExceeded, match="1025 bytes"):
        broker.send("small", [Message("2", "x"), Message("3", "x" * 1025)])
    assert broker.counts("small").visible == 1


# ---- settings -------------------------------------------------------------------------------
@pytest.mark.differs("aws", "whole seconds; tests/taskflow/aws/test_queues_and_topics.py")
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


def test_a_dead_letter_queue_is_of_the_same_kind(broker: Broker) -> None:
    for name, dlq in (("q", "dead.fifo"), ("q.fifo", "dead")):
        broker.create_queue(dlq)
        broker.create_queue(name)
        with pytest.raises(LimitExceeded, match="differ"):
            broker.set_queue(name, QueueSettings(dead_letter_queue=dlq, max_receives=1))
        assert broker.settings(name) == QueueSettings()


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
@pytest.mark.differs("aws", "SNS does not say when")
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


def test_tags_are_set_replaced_and_removed(broker: Broker, tagging: tuple[Any, Any]) -> None:
    tag, describe = tagging
    tag("x", {"b": "1", "a": "", "c": "3"})
    tag("x", {"b": "2", "c": None, "nosuch": None})
    assert describe("x").tags == {"a": "", "b": "2"}
    others = (broker.describe_queue("x").tags, broker.describe_topic("x").tags)
    assert {} in others, "a queue and a topic of one name have tags of their own"
    with pytest.raises((QueueNotFound, TopicNotFound)):
        tag("nosuch", {"a": "b"})


def test_there_are_fifty_tags_at_most(tagging: tuple[Any, Any]) -> None:
    tag, describe = tagging
    fifty = {f"k{number}": "v" for number in range(50)}
    tag("x", fifty)
    with pytest.raises(LimitExceeded, match="51 tags; 50"):
        tag("x", {"k0": "changed", "one more": "v"})
    assert describe("x").tags == fifty
    tag("x", {"k0": None, "one more": "v"})
    assert len(describe("x").tags) == 50


# ---- delete ---------------------------------------------------------------------------------
@pytest.mark.differs("aws", "has no rows to count")
@pytest.mark.parametrize("name", ["work", "work.fifo"])
def test_a_deleted_queue_leaves_no_row(
    broker: Broker, queue: str, fifo: str, name: str, send: Callable[..., object]
) -> None:
    assert isinstance(broker, StoredBroker)
    empty = _rows(broker)
    broker.publish("made", [Message("1", "x"), Message("2", "x"), Message("3", "x")])
    send("a1", "a2", "b1")
    other = "work" if name == "work.fifo" else "work.fifo"
    done, *_ = broker.receive(name, limit=2, attempt="try")
    broker.delete([Finish(done, remember=1000)])
    broker.tag_queue(name, {"a": "b"})
    broker.delete_queue(name)
    with pytest.raises(QueueNotFound):
        broker.delete_queue(name)
    assert name not in broker.queues()
    assert broker.counts(other).visible == 3
    broker.purge(other)
    left, empty = _rows(broker), empty | {"queue": empty["queue"] - 1}
    assert left.pop("deduplication") == 3  # these end with time
    assert left | {"deduplication": 0} == empty


def _rows(broker: StoredBroker) -> dict[str, int]:
    """How many rows each table has."""
    store = broker.store
    assert isinstance(store, SqliteStore)
    connection = store._connection
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
    names = [name for (name,) in tables if not name.startswith("sqlite_")]
    return {name: connection.execute(f"SELECT count(*) FROM {name}").get for name in names}


@pytest.mark.differs("aws", "a letter keeps the name of its source")
def test_letters_of_a_deleted_queue_stay(broker: Broker, queue: str) -> None:
    broker.send(queue, [Message("1", "x")])
    broker.dead_letter([(broker.receive(queue)[0], "{}")])
    assert broker.peek("work-dlq")[0].source == "work"
    broker.delete_queue(queue)
    assert broker.peek("work-dlq")[0].source is None
    assert broker.redrive("work-dlq") == 0
    assert broker.counts("work-dlq").visible == 1
