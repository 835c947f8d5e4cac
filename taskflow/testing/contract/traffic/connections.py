"""Within a transaction of the caller's: there when that commits, gone with it, by all the rules.

These tests ask for the fixture `begin_own`, by which whoever holds a broker to them opens a
transaction to its database: `begin_own()` is a context that gives what `connection=` may be,
commits at its end, and undoes all when it is left by an exception.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import pytest

from taskflow.broker import Broker, QueueSettings
from taskflow.broker.change import Add, Change, Publish, Put, Send, Take
from taskflow.broker.settings import TopicSubscription
from taskflow.errors import ConfigError, LimitExceeded, QueueNotFound, TopicNotFound
from taskflow.message import Message
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.fixtures import *
from taskflow.testing.contract.needs import needs, skip

Begin = Callable[[], AbstractContextManager[Any]]


class Undone(Exception):
    """Leaves a transaction."""


@pytest.fixture
def begin(request: pytest.FixtureRequest) -> Begin:
    """Asks for `begin_own`, and leaves the test out where there is none."""
    try:
        begin: Begin = request.getfixturevalue("begin_own")
    except pytest.FixtureLookupError:
        skip(request, ["the fixture begin_own"])
    return begin


@contextmanager
def rolled_back(begin: Begin) -> Iterator[Any]:
    with suppress(Undone), begin() as connection:
        yield connection
        raise Undone


def ids(broker: Broker, queue: str) -> list[str]:
    return [one.id for one in broker.peek(queue)]


@needs("connections")
def test_what_is_sent_within_a_transaction_is_part_of_it(
    broker: Broker, queue: str, begin: Begin
) -> None:
    with begin() as connection:
        sent = broker.send(queue, [Message("1", "x")], connection=connection)
        published = broker.publish("made", [Message("2", "x")], connection=connection)
        assert ([one.id for one in sent], published.subscriptions) == (["1"], 1)
        assert ids(broker, queue) == []  # nobody else sees it yet
    assert ids(broker, queue) == ["1", "2"]
    with rolled_back(begin) as connection:
        broker.send(queue, [Message("3", "x")], connection=connection)
        broker.publish("made", [Message("4", "x")], connection=connection)
    assert ids(broker, queue) == ["1", "2"]
    assert [one.body for one in broker.receive(queue, limit=10)] == ["x", "x"]


@needs("connections", "filters", "large_messages")
def test_the_rules_of_a_publish_hold_within_a_transaction(
    broker: Broker, queue: str, begin: Begin
) -> None:
    broker.create_queue("some", QueueSettings(max_message_bytes=2000))
    broker.create_topic("other")
    policy = '{"kind": ["a"]}'
    broker.put_subscription(TopicSubscription("s", "made", "sqs", "some", filter_policy=policy))
    broker.subscribe("other", "some")
    many = [Message("a", "1", {"kind": "a"}), Message("b", "2", {"kind": "b"}, 5.0)]
    with begin() as connection:
        broker.publish("made", many, connection=connection)
        broker.publish("other", [Message("c", "3")], connection=connection)
        broker.publish("made", many, connection=connection)  # held already
        with pytest.raises(LimitExceeded):
            broker.publish("other", [Message("d", "x" * 3000)], connection=connection)
        with pytest.raises(TopicNotFound):
            broker.publish("nowhere", [Message("d", "x")], connection=connection)
        with pytest.raises(QueueNotFound):
            broker.send("nowhere", [Message("d", "x")], connection=connection)
        broker.create_queue("more", QueueSettings())  # what is kept of subscriptions is old now
        broker.subscribe("other", "more")
        last = broker.publish("other", [Message("e", "5")], connection=connection)
        assert last.subscriptions == 2
    assert ids(broker, queue) == ["a", "b"]
    assert ids(broker, "some") == ["a", "c", "e"]
    assert ids(broker, "more") == ["e"]
    assert broker.counts(queue).delayed == 1


@needs("connections", "fifo")
def test_a_group_is_held_by_a_transaction_only_if_that_is_meant(
    broker: Broker, fifo: str, begin: Begin
) -> None:
    broker.create_topic("made.fifo")
    broker.subscribe("made.fifo", fifo)
    first, second = (Message(id, id, group="g", deduplication_id=id) for id in "12")
    with begin() as connection:
        with pytest.raises(ConfigError, match="stands still until your transaction ends"):
            broker.publish("made.fifo", [first], connection=connection)
        with pytest.raises(ConfigError, match="hold_group=True"):
            broker.send(fifo, [first], connection=connection)
        with pytest.raises(ConfigError, match="hold_group=True"):
            broker.apply([Change(sends=[Send(fifo, [first])])], connection=connection)
        broker.publish("made.fifo", [first], connection=connection, hold_group=True)
    with rolled_back(begin) as connection:
        broker.send(fifo, [second], connection=connection, hold_group=True)
    broker.publish("made.fifo", [first])  # within the window
    assert [one.id for one in broker.receive(fifo, limit=10)] == ["1"]


@needs("connections", "runs")
def test_a_change_within_a_transaction_only_adds(broker: Broker, queue: str, begin: Begin) -> None:
    put = Put(kind="k", key="1", value="v", expected=0)
    message = [Message("1", "x")]
    with begin() as connection:
        wrong = (
            Change(id="c"),
            Change(keys=[Take("k", "me")]),
            Change(counters=[Add("k", "1", 1)]),
            Change(records=[Put(kind="k", key="1", value="v")]),
        )
        for change in wrong:
            with pytest.raises(ConfigError, match="may only add"):
                broker.apply([change], connection=connection)
        refused, made, again = broker.apply(
            [
                Change(records=[put], sends=[Send("nowhere", message)]),
                Change(records=[put], sends=[Publish("made", message)]),
                Change(records=[put]),
            ],
            connection=connection,
        )
        assert isinstance(refused.refused, QueueNotFound)
        assert made.refused is None  # the record of the first was undone alone
        assert again.refused is not None
        assert broker.records("k", ["1"]) == {}
    assert (ids(broker, queue), list(broker.records("k", ["1"]))) == (["1"], ["1"])


__all__ = collected(globals())
