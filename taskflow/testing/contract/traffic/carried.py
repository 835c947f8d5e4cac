"""What a message carries for tasks: it arrives on every broker, by every way."""

from dataclasses import replace

import pytest

from taskflow.broker import Broker, Finish
from taskflow.broker.change import Change, Send
from taskflow.errors import LimitExceeded
from taskflow.message import Delivery, Message
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.fixtures import *
from taskflow.testing.contract.needs import needs

FULL = Message(
    "1",
    "x",
    {"kind": "a"},
    run="run-1/3",
    expires_at=2000.5,
    priority="high",
    headers={"locale": "de", "snowman": "☃"},
)


def carried(found: Delivery) -> tuple[object, ...]:
    return found.run, found.expires_at, found.priority, dict(found.headers)


ALL = ("run-1/3", 2000.5, "high", {"locale": "de", "snowman": "☃"})


@pytest.mark.parametrize("way", ["publish", "send", "apply"])
def test_it_arrives(broker: Broker, queue: str, way: str) -> None:
    if way == "publish":
        broker.publish("made", [FULL])
    elif way == "send":
        broker.send(queue, [FULL])
    else:
        broker.apply([Change(sends=[Send(queue, [FULL])])])
    (found,) = broker.receive(queue)
    assert carried(found) == ALL
    assert found.attributes == {"kind": "a"}


def test_a_message_without_it_has_none(broker: Broker, queue: str) -> None:
    broker.send(queue, [Message("1", "x")])
    (found,) = broker.receive(queue)
    assert carried(found) == (None, None, None, {})


@needs("dead_letters", "repairs")
def test_it_stays_with_a_dead_letter_and_comes_back_with_it(broker: Broker, queue: str) -> None:
    broker.send(queue, [FULL])
    assert broker.dead_letter([(broker.receive(queue)[0], '{"reason": "no"}')]) == [True]
    (letter,) = broker.receive("work-dlq", visibility=0)
    assert carried(letter) == ALL
    assert broker.redrive("work-dlq") == 1
    (found,) = broker.receive(queue)
    assert carried(found) == ALL
    assert broker.delete([Finish(found)]) == [True]


@needs("filters")
def test_it_reaches_a_queue_whose_subscription_filters(broker: Broker, queue: str) -> None:
    (one,) = broker.subscriptions("made")
    broker.put_subscription(replace(one, filter_policy='{"kind": ["a"]}'))
    broker.publish("made", [FULL])
    assert carried(broker.receive(queue)[0]) == ALL


@pytest.mark.parametrize("priority", ["", "highest", "HIGH", 1])
def test_priorities_have_names(priority: str) -> None:
    with pytest.raises(LimitExceeded, match="allowed are high, normal, low"):
        Message("1", "x", priority=priority)  # type: ignore[arg-type]


def test_headers_are_text_and_count() -> None:
    with pytest.raises(TypeError, match="the header 'n' is 1; text is wanted"):
        Message("1", "x", headers={"n": 1})  # type: ignore[dict-item]
    assert Message("1", "x", headers={"näme": "v"}).size == 1 + 5 + 1
    with pytest.raises(LimitExceeded, match="with its headers"):
        Message("1", "x", headers={"n": "v" * 1_048_576})


__all__ = collected(globals())
