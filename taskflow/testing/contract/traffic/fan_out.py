"""From a topic to its queues: who gets a message, and in which shape."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from taskflow.broker import Broker, QueueSettings
from taskflow.broker.settings import TopicSettings, TopicSubscription
from taskflow.errors import InvalidFilterPolicy, LimitExceeded, TopicNotFound
from taskflow.message import Attribute, Delivery, Message
from taskflow.testing import ManualClock
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.fixtures import *
from taskflow.testing.contract.needs import needs

Add = Callable[..., TopicSubscription]


@pytest.fixture
def add(broker: Broker) -> Add:
    """Subscribe an endpoint (by default the queue `q`) to the topic `made.it`, or another."""
    broker.create_topic("made.it")
    broker.create_queue("q")
    if broker.features.fifo:
        broker.create_topic("made.fifo")
        broker.create_queue("q.fifo", QueueSettings(deduplication_scope="messageGroup"))

    def add(
        endpoint: str = "q", topic: str = "made.it", protocol: Any = "sqs", **more: Any
    ) -> TopicSubscription:
        made = TopicSubscription(f"to-{endpoint[:5]}", topic, protocol, endpoint, **more)
        broker.put_subscription(made)
        return made

    return add


def got(broker: Broker, queue: str = "q") -> list[Delivery]:
    return broker.receive(queue, limit=100)


def ids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.id for delivery in deliveries]


RED, BLUE, PLAIN = (
    Message("1", '{"size": {"cm": 5}}', {"colour": "red", "n": Attribute("Number", "7")}),
    Message("2", '{"size": {"cm": 50}}', {"colour": "blue", "n": Attribute("Number", "70")}),
    Message("3", "no JSON", {"other": "x"}),
)


@needs("filters")
@pytest.mark.parametrize(
    ("scope", "policy", "through"),
    [
        ("MessageAttributes", {"colour": ["red", "green"]}, ["1"]),
        ("MessageAttributes", {"n": [{"numeric": [">", 10]}]}, ["2"]),
        ("MessageAttributes", {"colour": [{"exists": False}]}, ["3"]),
        ("MessageAttributes", {"size": [{"exists": True}]}, []),
        ("MessageBody", {"size": {"cm": [{"numeric": ["<", 10]}]}}, ["1"]),
        ("MessageBody", {"colour": ["red"]}, []),
        ("MessageAttributes", None, ["1", "2", "3"]),
    ],
)
@pytest.mark.parametrize("raw", [True, pytest.param(False, marks=needs("envelopes"))])
def test_a_filter_policy_chooses(
    broker: Broker, add: Add, scope: str, policy: object, through: list[str], raw: bool
) -> None:
    text = None if policy is None else json.dumps(policy)
    add(filter_policy=text, filter_scope=scope, raw=raw)
    broker.create_queue("all")
    add("all")
    assert broker.publish("made.it", [RED, BLUE, PLAIN]).subscriptions == 2
    found = got(broker)
    if raw:
        assert ids(found) == through
    else:  # each queue has ids of its own; the envelopes say what was published
        bodies = {message.id: message.body for message in (RED, BLUE, PLAIN)}
        sent = [json.loads(one.body)["Message"] for one in found]
        assert sent == [bodies[id] for id in through]
    assert ids(got(broker, "all")) == ["1", "2", "3"]


@needs("filters")
def test_a_new_policy_takes_effect_at_once(broker: Broker, add: Add) -> None:
    for colour in ("red", "blue"):
        add(filter_policy=json.dumps({"colour": [colour]}))
        broker.publish("made.it", [RED, BLUE])
        assert [one.attributes["colour"] for one in got(broker)] == [colour]


@needs("filters")
def test_a_policy_that_cannot_be_changes_nothing(broker: Broker, add: Add) -> None:
    before = add()
    with pytest.raises(InvalidFilterPolicy):
        add(filter_policy='{"colour": "red"}')
    assert broker.subscriptions() == [before]


def test_raw_delivery_hands_out_what_was_published(broker: Broker, add: Add) -> None:
    add()
    message = Message("1", "x", {"n": Attribute("Number", "1")}, subject="Hello", group="g")
    broker.publish("made.it", [message])
    (one,) = got(broker)
    assert (one.id, one.topic, one.body, one.subject, one.group) == ("1", "made.it", "x", None, "g")
    assert one.attributes == message.attributes


@needs("envelopes")
def test_an_envelope_is_what_sns_writes(broker: Broker, clock: ManualClock, add: Add) -> None:
    broker.set_identity({"account": "111122223333", "region": "eu-west-1", "url": "http://sns"})
    clock.set(1_700_000_000.5)
    add(raw=False)
    attributes: dict[str, str | Attribute]
    attributes = {"s": "é", "n": Attribute("Number", "1"), "b": Attribute("Binary", b"\0\xff")}
    broker.publish("made.it", [Message("1", 'a "b"', attributes, subject="Hello", group="g")])
    (one,) = got(broker)
    assert (one.attributes, one.subject, one.group) == ({}, None, "g")
    assert UUID(one.id).version == 8
    envelope = json.loads(one.body)
    arn = "arn:aws:sns:eu-west-1:111122223333:made-it"
    assert envelope == {
        "Type": "Notification",
        "MessageId": "1",
        "TopicArn": arn,
        "Subject": "Hello",
        "Message": 'a "b"',
        "Timestamp": "2023-11-14T22:13:20.500Z",
        "SignatureVersion": "1",
        "Signature": "",
        "SigningCertURL": "",
        "UnsubscribeURL": f"http://sns/?Action=Unsubscribe&SubscriptionArn={arn}:to-q",
        "MessageAttributes": {
            "s": {"Type": "String", "Value": "é"},
            "n": {"Type": "Number", "Value": "1"},
            "b": {"Type": "Binary", "Value": "AP8="},
        },
    }


@needs("envelopes")
def test_an_envelope_leaves_out_what_was_not_given(broker: Broker, add: Add) -> None:
    broker.set_topic("made.it", TopicSettings(signature_version=2))
    add(raw=False)
    broker.publish("made.it", [Message("1", "x")])
    envelope = json.loads(got(broker)[0].body)
    assert envelope.keys().isdisjoint({"Subject", "MessageAttributes", "SequenceNumber"})
    assert envelope["SignatureVersion"] == "2"


@needs("envelopes", "urls")
def test_each_protocol_gets_its_own_body(broker: Broker, add: Add) -> None:
    broker.create_queue("raw")
    add("raw")
    add("q", raw=False)
    http = add("http://a", protocol="http", raw=False)
    https = add("https://b", protocol="https", raw=False)
    message = Message("1", "default", bodies={"sqs": "for queues", "http": "for http"}, subject="S")
    broker.publish("made.it", [message])
    assert got(broker, "raw")[0].body == "for queues"
    assert json.loads(got(broker)[0].body)["Message"] == "for queues"
    for called, body in ((http, "for http"), (https, "default")):
        (kept,) = got(broker, called.queue)
        assert (kept.body, kept.subject) == (body, "S")


# ---- FIFO topics ----------------------------------------------------------------------------
def grouped(id: str, key: str | None, group: str = "g", body: str = "x") -> Message:
    return Message(id, body, group=group, deduplication_id=key)


@needs("fifo")
def test_a_fifo_topic_hands_group_and_key_to_fifo_queues_only(broker: Broker, add: Add) -> None:
    add("q", "made.fifo")
    add("q.fifo", "made.fifo")
    broker.publish(
        "made.fifo",
        [grouped("1", "k1"), grouped("2", "k2"), grouped("3", "k3", "other")],
    )
    (first,) = broker.receive("q.fifo")
    assert (first.id, first.group, first.deduplication_id) == ("1", "g", "k1")
    assert ids(got(broker, "q.fifo")) == ["3"]
    plain = got(broker)
    assert [(one.id, one.group, one.deduplication_id) for one in plain] == [
        (id, None, None) for id in "123"
    ]


@needs("fifo")
@pytest.mark.parametrize("scope", ["topic", "messageGroup"])
def test_a_fifo_topic_deduplicates_for_five_minutes(
    broker: Broker, clock: ManualClock, add: Add, scope: Any
) -> None:
    broker.set_topic("made.fifo", TopicSettings(True, scope))
    for endpoint in ("q", "q.fifo"):
        add(endpoint, "made.fifo")
    sent = broker.publish("made.fifo", [grouped("1", None), grouped("2", None)]).sent
    assert [one.id for one in sent] == ["1", "1"]
    clock.advance(299)
    (again, other) = broker.publish("made.fifo", [grouped("3", None), grouped("4", None, "h")]).sent
    assert again == sent[0]
    assert other.id == ("1" if scope == "topic" else "4")
    stored = ["1"] if scope == "topic" else ["1", "4"]
    assert ids(got(broker)) == ids(got(broker, "q.fifo")) == stored
    clock.advance(1)
    (new,) = broker.publish("made.fifo", [grouped("5", None)]).sent
    assert (new.id, new.sequence > sent[0].sequence) == ("5", True)
    assert ids(got(broker)) == ["5"]


@needs("fifo", "envelopes")
def test_content_is_the_message_not_the_envelope(broker: Broker, add: Add) -> None:
    broker.set_topic("made.fifo", TopicSettings(content_based_deduplication=True))
    add("q.fifo", "made.fifo", raw=False)
    (sent,) = broker.publish("made.fifo", [grouped("1", None, body="abc")]).sent
    (one,) = got(broker, "q.fifo")
    assert one.deduplication_id is not None
    assert one.deduplication_id.startswith("ba7816bf8f01cfea")  # SHA-256 of abc
    envelope = json.loads(one.body)
    number = int(envelope["SequenceNumber"])
    assert (number % 10**19, number >= 10**19) == (sent.sequence % 10**19, True)
    assert not {"Signature", "SignatureVersion", "SigningCertURL"} & envelope.keys()
    assert envelope["TopicArn"].endswith(":made.fifo")


@needs("fifo")
@pytest.mark.parametrize(
    ("message", "why"),
    [
        (Message("1", "x", deduplication_id="k"), "group"),
        (grouped("1", None), "deduplication id"),
    ],
)
def test_a_fifo_topic_says_what_a_message_lacks(
    broker: Broker, add: Add, message: Message, why: str
) -> None:
    add("q", "made.fifo")
    with pytest.raises(LimitExceeded, match=why):
        broker.publish("made.fifo", [grouped("0", "k0"), message])
    assert got(broker) == []


@needs("fifo")
def test_a_fifo_topic_made_anew_knows_no_duplicates(broker: Broker, add: Add) -> None:
    for id in ("1", "2"):
        broker.create_topic("made.fifo")
        add("q", "made.fifo")
        assert broker.publish("made.fifo", [grouped(id, "key")]).sent[0].id == id
        broker.delete_topic("made.fifo")
    assert ids(got(broker)) == ["1", "2"]


@needs("fifo")
def test_a_fifo_queue_under_a_standard_topic_is_refused(broker: Broker, add: Add) -> None:
    with pytest.raises(LimitExceeded, match="FIFO"):
        add("q.fifo")
    with pytest.raises(LimitExceeded, match="FIFO"):
        broker.subscribe("made.it", "q.fifo")
    with pytest.raises(TopicNotFound):
        add("q", "nosuch")
    assert broker.subscriptions() == []


__all__ = collected(globals())
