"""Changes on AWS: what is noted before it is sent, so that a crash in between loses nothing."""

import random
from collections.abc import Iterator
from contextlib import closing

import pytest

from taskflow.broker.change import Change, Publish, Put, Send
from taskflow.broker.record import RecordQuery
from taskflow.brokers.aws.broker import AwsBroker
from taskflow.brokers.aws.change_applier import _message, _noted, _read, _write
from taskflow.config import open_broker
from taskflow.errors import BrokerUnavailable, QueueNotFound
from taskflow.message import Attribute, Message
from tests.contract.wire import SharedClock, aws_broker


@pytest.fixture
def clock() -> SharedClock:
    return SharedClock(1000.0)


@pytest.fixture
def broker(clock: SharedClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsBroker]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "TF1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with aws_broker(clock) as opened:
        opened.create_queue("work")
        opened.create_topic("made")
        opened.subscribe("made", "work")
        yield opened


FULL = Message("2", "y", {"b": Attribute("Binary", b"\x00\xff"), "n": Attribute("Number", "1")})


def test_what_was_noted_and_not_sent_is_sent_by_the_upkeep(
    broker: AwsBroker, clock: SharedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise BrokerUnavailable("the network is gone")

    sender = broker._applier._sender
    with monkeypatch.context() as broken:
        broken.setattr(sender, "send", die)
        change = Change(
            records=[Put(kind="run", key="1", value="a")],
            sends=[Publish("made", [Message("1", "x")]), Send("work", [FULL])],
        )
        with pytest.raises(BrokerUnavailable):
            broker.apply([change])
    assert broker.records("run", ["1"])["1"].value == "a"
    broker.upkeep()
    assert broker.counts("work").visible == 1, "whoever made it may be at it still"
    clock.advance(30)
    broker.upkeep()
    found = {one.id: one for one in broker.receive("work", limit=10)}
    assert set(found) == {"1", "2"}
    assert found["2"].attributes == FULL.attributes
    assert broker.list_records(RecordQuery(kind="outbox")).records == [], "it is noted no more"


def test_a_message_is_noted_with_every_field_it_has() -> None:
    """A field that Message gains is noted too: none is named there."""
    full = Message(
        "1",
        "x",
        FULL.attributes,
        delay=5.0,
        group="g",
        deduplication_id="d",
        trace="t",
        sender="s",
        subject="j",
        bodies={"sqs": "y"},
        run="r",
        expires_at=9.0,
        priority="low",
        headers={"h": "v"},
        slot="s\nk",
        most=2_000_000,
    )
    bare = Message("1", "x")
    for name in Message.__struct_fields__:
        if name not in ("id", "body"):
            assert getattr(full, name) != getattr(bare, name), f"fill in {name}"
    (noted,) = _read(_write(_noted([Send("work", [full])])))
    again = _message(noted)
    assert again == full
    assert again.most == full.most


def test_a_change_that_is_made_again_sends_what_was_only_noted(
    broker: AwsBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise BrokerUnavailable("the network is gone")

    change = Change(id="c1", sends=[Send("work", [Message("1", "x")])])
    with monkeypatch.context() as broken:
        broken.setattr(broker._applier._sender, "send", die)
        with pytest.raises(BrokerUnavailable):
            broker.apply([change])
    assert broker.apply([change])[0].repeated
    assert broker.apply([change])[0].repeated
    assert [one.id for one in broker.receive("work", limit=10)] == ["1"]


def test_what_cannot_be_sent_is_set_aside_and_keeps_nobody_from_being_sent(
    broker: AwsBroker, clock: SharedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise BrokerUnavailable("the network is gone")

    with monkeypatch.context() as broken:
        broken.setattr(broker._applier._sender, "send", die)
        for queue in ("nosuch", "work"):
            with pytest.raises(BrokerUnavailable):
                broker.apply([Change(sends=[Send(queue, [Message(f"to {queue}", "x")])])])
    clock.advance(30)
    broker.upkeep()
    assert [one.id for one in broker.receive("work", limit=10)] == ["to work"]
    (kept,) = broker.list_records(RecordQuery(kind="outbox")).records
    assert (kept.state, "no queue named 'nosuch'" in str(kept.label)) == ("refused", True)
    broker.upkeep()  # would raise if it still tried
    clock.advance(86400)
    assert broker.list_records(RecordQuery(kind="outbox")).records == []


def test_a_note_that_cannot_be_read_keeps_nobody_from_being_sent(
    broker: AwsBroker, clock: SharedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who can write where the state lies can write anything there."""
    for value in ("[", '[{"topic": 1}]'):
        put = Put(kind="outbox", key=value, value=value, due_at=1000.0)
        broker.apply([Change(records=[put])])
    text = _write(_noted([Send("work", [FULL])])).decode()
    broker.apply([Change(records=[Put(kind="outbox", key="good", value=text, due_at=1001.0)])])
    clock.advance(1)
    broker.upkeep()
    assert [one.id for one in broker.receive("work", limit=10)] == ["2"]
    kept = broker.list_records(RecordQuery(kind="outbox")).records
    assert {one.state for one in kept} == {"refused"}
    assert all("cannot be read" in str(one.label) for one in kept)


def test_a_change_that_was_refused_is_not_taken_for_made(broker: AwsBroker) -> None:
    change = Change(id="c1", sends=[Send("later", [Message("1", "x")])])
    for _ in range(2):
        (answer,) = broker.apply([change])
        assert isinstance(answer.refused, QueueNotFound)
    broker.create_queue("later")
    (answer,) = broker.apply([change])
    assert (answer.refused, answer.repeated) == (None, True)
    assert [one.id for one in broker.receive("later")] == ["1"]
    assert broker.apply([change])[0].repeated
    assert broker.counts("later").visible == 0


def test_the_state_may_lie_in_a_file(
    clock: SharedClock, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "TF1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    address = (
        "aws://us-east-1?endpoint=http://localhost:9324&state="
        f"sqlite:///{tmp_path}/state.db%3Fdurability%3Dprocess"
    )
    with closing(open_broker(address, clock=clock, random=random.Random(7))) as first:
        first.apply([Change(records=[Put(kind="run", key="1", value="a")])])
    with closing(open_broker(address, clock=clock)) as second:
        assert second.records("run", ["1"])["1"].value == "a"
