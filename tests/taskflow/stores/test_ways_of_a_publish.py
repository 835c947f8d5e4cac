"""However a message comes in, the same is stored: the short way is no other way."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from taskflow.broker import QueueSettings
from taskflow.broker.change import Change, Publish
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.message import Attribute, Message
from taskflow.stores.sqlite.store import SqliteStore
from taskflow.testing import ManualClock

MESSAGES = {
    "plain": Message("1", "x"),
    "with attributes": Message("1", "x", {"a": "b", "n": Attribute("Binary", b"\x00")}),
    "delayed": Message("1", "x", delay=5.0),
    "of a group": Message("1", "x", group="g", trace="t", sender="s"),
    "of a run": Message("1", "x", run="r", expires_at=9.0, priority="low", headers={"h": "v"}),
    "with a subject": Message("1", "x", subject="s"),
    "with bodies": Message("1", "x", bodies={"sqs": "y"}),
}


class Made:
    """A broker whose clock stands still, and a topic with one queue."""

    def __init__(self, delay: float) -> None:
        self.store = SqliteStore(None, durable=False)
        self.broker = StoredBroker(self.store, clock=ManualClock())
        self.broker.create_topic("made")
        self.broker.create_queue("work", QueueSettings(delay=delay))
        self.broker.subscribe("made", "work")

    def rows(self) -> list[tuple[Any, ...]]:
        """All there is of the messages whose id is 1, but for their numbers."""
        return list(
            self.store._database.connection.execute(
                """SELECT m.visible_at, m.sent_at, m.id, m.topic, m.receive_count, m.receipt,
                          m.source, m.lane, m.tenant, b.body, b.attributes, b.extra
                   FROM message m JOIN body b ON b.seq = m.seq WHERE m.id = '1'"""
            )
        )


def first(made: Made, message: Message) -> None:
    """Nothing is known of the topic yet."""
    made.broker.publish("made", [message])


def later(made: Made, message: Message) -> None:
    """The topic is known: the short way, if it is one for this message."""
    made.broker.publish("made", [Message("0", "x")])
    made.broker.publish("made", [message])


def among_others(made: Made, message: Message) -> None:
    made.broker.publish("made", [Message("0", "x")])
    made.broker.publish("made", [Message("2", "x"), message, Message("3", "x")])


def in_a_change(made: Made, message: Message) -> None:
    made.broker.apply([Change(sends=[Publish("made", [message])])])


def twice(made: Made, message: Message) -> None:
    made.broker.publish("made", [message])
    made.broker.publish("made", [replace(message, body="another")])


@pytest.mark.parametrize("way", [later, among_others, in_a_change, twice])
@pytest.mark.parametrize("kind", MESSAGES)
@pytest.mark.parametrize("delay", [0.0, 7.0])
def test_every_way_stores_the_same(
    way: Callable[[Made, Message], None], kind: str, delay: float
) -> None:
    expected, found = Made(delay), Made(delay)
    first(expected, MESSAGES[kind])
    way(found, MESSAGES[kind])
    assert found.rows() == expected.rows()
    assert len(found.rows()) == 1
    for made in (expected, found):
        made.broker.close()
