"""What a message carries beside its body, and how large it may be."""

from typing import Any

import pytest

from taskflow.broker import Broker, QueueSettings
from taskflow.errors import (
    LimitExceeded,
)
from taskflow.message import FAILURE, Attribute, Message
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.fixtures import *
from taskflow.testing.contract.needs import needs

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


def test_attributes_keep_their_types(broker: Broker, queue: str) -> None:
    broker.publish("made", [Message("1", "x", ATTRIBUTES), Message("2", "x")])
    typed, plain = broker.receive(queue, limit=2)
    assert typed.attributes == ATTRIBUTES
    assert plain.attributes == {}
    assert broker.peek(queue)[0].attributes == ATTRIBUTES


@needs("dead_letters", "repairs")
def test_attributes_keep_their_types_in_the_dlq_and_back(broker: Broker, queue: str) -> None:
    broker.send(queue, [Message("1", "x", ATTRIBUTES)])
    broker.dead_letter([(broker.receive(queue)[0], '{"reason": "ö"}')])
    (letter,) = broker.peek("work-dlq")
    assert letter.attributes == ATTRIBUTES | {FAILURE: '{"reason": "ö"}'}
    broker.redrive("work-dlq")
    assert broker.receive(queue)[0].attributes == ATTRIBUTES


@needs("dead_letters", "repairs")
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


def test_a_queue_takes_messages_up_to_its_size(broker: Broker) -> None:
    broker.create_queue("small", QueueSettings(max_message_bytes=1024))
    broker.send("small", [Message("1", "x" * 1024)])
    with pytest.raises(LimitExceeded, match="1025 bytes"):
        broker.send("small", [Message("2", "x"), Message("3", "x" * 1025)])
    assert broker.counts("small").visible == 1


__all__ = collected(globals())
