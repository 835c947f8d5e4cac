"""`Copy`: what waits at one broker waits at another afterwards, as it was."""

from dataclasses import asdict, replace
from typing import Any

import pytest

from taskflow import Broker
from taskflow.broker.settings import Finish, Holding, QueueSettings, TopicSubscription
from taskflow.brokers.copying import copy as copying
from taskflow.brokers.copying.copy import Copy
from taskflow.brokers.copying.queue_copy import QueueCopy
from taskflow.errors import ConfigError, QueueNotFound
from taskflow.limits import is_fifo
from taskflow.message import FAILURE, Attribute, Delivery, Message
from taskflow.testing import ManualClock
from tests.taskflow.copying.conftest import Open, Pair

TOPIC = "order.created"


def declare(broker: Broker) -> None:
    """A broker with something of each kind."""
    broker.create_queue("work-dlq")
    broker.create_queue("work", QueueSettings(dead_letter_queue="work-dlq", max_receives=9))
    broker.create_queue("lanes.fifo", QueueSettings(deduplication_scope="messageGroup"))
    broker.create_queue("idle")
    broker.tag_queue("work", {"team": "shop"})
    broker.create_topic(TOPIC)
    broker.create_topic("lines.fifo")
    broker.tag_topic(TOPIC, {"team": "all"})
    policy = '{"kind": ["new"]}'
    broker.put_subscription(TopicSubscription("s1", TOPIC, "sqs", "work", filter_policy=policy))
    broker.put_subscription(TopicSubscription("s2", TOPIC, "https", "https://example.org/"))
    broker.put_subscription(TopicSubscription("s3", "lines.fifo", "sqs", "lanes.fifo"))


def fill(broker: Broker, clock: ManualClock) -> None:
    """Messages with all that a message can have, some of which were received before."""
    for name in ("again", "dead", "done"):
        broker.send("work", [Message(name, name)])
        (held,) = broker.receive("work")
        if name == "dead":
            broker.dead_letter([(held, '{"error": "x"}')])
        elif name == "done":
            broker.delete([Finish(held, remember=600)])
        else:
            broker.change_visibility([(held, 5)])
    plain = Message("plain", "1", {"kind": "new", "n": Attribute("Binary", b"\0")}, subject="s")
    broker.publish(TOPIC, [plain])
    broker.send(
        "work",
        [
            Message("late", "2", delay=7200),
            Message("first", "3", priority="high", headers={"h": "v"}, trace="t", sender="me"),
            Message("slow", "4", group="tenant", slot="limit\nkey", expires_at=9e9),
        ],
    )
    broker.publish(
        "lines.fifo",
        [
            Message(f"{group}{n}", "x", group=group, deduplication_id=f"{group}{n}")
            for n in range(4)
            for group in "ab"
        ],
    )
    clock.advance(6)


def held_by(broker: Broker) -> dict[str, list[dict[str, Any]]]:
    """All messages, without what is each broker's own: numbers, where a queue is, and the order
    of a standard one."""
    found = {}
    for name in (*broker.queues(), "~s2"):
        held = [asdict(replace(one, sequence=0)) for one in broker.peek(name, 1000)]
        if not is_fifo(name):
            held.sort(key=lambda one: (one["id"], one["topic"]))
        found[name] = held
    return found


def declared_by(broker: Broker) -> Any:
    queues = {
        name: (broker.settings(name), broker.describe_queue(name).tags, broker.counts(name).paused)
        for name in broker.queues()
    }
    topics = {
        name: (broker.topic_settings(name), broker.describe_topic(name).tags)
        for name in broker.topics()
    }
    return queues, topics, broker.subscriptions()


def drained(broker: Broker, *queues: str) -> list[Delivery]:
    found: list[Delivery] = []
    while some := broker.receive(*queues, limit=10):
        broker.delete([Finish(one) for one in some])
        found += some
    return found


def test_all_that_waits_is_moved_as_it_was(
    pair: Pair, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "BATCH", 3)
    source, target = pair
    declare(source)
    source.pause("idle")
    fill(source, clock)
    was, moved = held_by(source), []
    copies = Copy(source, target).run(moved=lambda queue, count: moved.append(count))
    assert held_by(target) == was
    assert [name for name in source.queues() if source.counts(name).paused] == [
        "idle",
        "lanes.fifo",
    ]
    source.pause("lanes.fifo", paused=False)
    assert declared_by(target) == declared_by(source)
    assert not any(held_by(source).values())
    assert sum(moved) == sum(one.moved for one in copies) == sum(map(len, was.values())) == 15
    assert [one.finished for one in copies if one.name == "work"] == [1]
    assert all(one.moved == 0 for one in Copy(source, target).run()), "there is nothing left"

    (letter,) = target.peek("work-dlq")
    assert (letter.source, letter.received_before, FAILURE in letter.attributes) == (
        "work",
        1,
        True,
    )
    assert target.redrive("work-dlq") == 1
    assert [one.id for one in drained(target, "lanes.fifo") if one.group == "b"] == [
        f"b{n}" for n in range(4)
    ]
    assert target.finished("work", [("done", "")]) == {("done", "")}
    again = Message("other", "x", group="a", deduplication_id="a1")
    assert target.publish("lines.fifo", [again]).sent[0].id == "a1"
    assert target.send("lanes.fifo", [again])[0].id == "a1"
    assert "late" not in {one.id for one in drained(target, "work")}
    clock.advance(7200)
    assert [one.id for one in drained(target, "work")] == ["late"]


def test_what_is_in_flight_stays_until_it_is_not_and_keeps_its_group(
    pair: Pair, clock: ManualClock
) -> None:
    source, target = pair
    declare(source)
    source.send("idle", [Message(str(n), "x") for n in range(3)])
    fifo = [
        Message(f"{group}{n}", "x", group=group, deduplication_id=f"{group}{n}")
        for n in range(2)
        for group in "ab"
    ]
    source.send("lanes.fifo", fifo)
    source.send("work", [Message("of-run", "x", run="run-1")])
    held = [*source.receive("idle"), *source.receive("lanes.fifo")]
    plan = {one.name: one for one in Copy(source, target).plan()}
    assert (plan["idle"].moved, plan["idle"].in_flight) == (2, 1)
    assert target.queues() == []
    left = {one.name: one for one in Copy(source, target, ["idle", "lanes.fifo", "work"]).run()}
    assert left["idle"] == QueueCopy("idle", moved=2, in_flight=1)
    assert left["lanes.fifo"] == QueueCopy("lanes.fifo", moved=2, in_flight=2)
    assert left["work"] == QueueCopy("work", of_runs=1)
    assert {one.id for one in drained(target, "lanes.fifo")} == {"b0", "b1"}
    assert source.delete([Finish(one) for one in held]) == [True, True]
    left = {one.name: one for one in Copy(source, target).run()}
    assert (left["idle"].moved, left["lanes.fifo"].moved) == (0, 1)
    assert [one.id for one in drained(target, "lanes.fifo")] == ["a1"]


def test_who_may_have_killed_its_worker_is_a_suspect_still(pair: Pair, clock: ManualClock) -> None:
    source, target = pair
    declare(source)
    source.send("idle", [Message("killer", "x")])
    source.receive("idle", visibility=5, holding=Holding())
    clock.advance(5)
    Copy(source, target).run()
    (found,) = target.receive("idle", holding=Holding())
    assert (found.suspect, found.receive_count) == (True, 2)


def test_what_differs_is_said_before_anything_is_written(opened: Open, clock: ManualClock) -> None:
    source, target = opened("memory"), opened("memory")
    declare(source)
    fill(source, clock)
    target.create_queue("work", QueueSettings(delay=5))
    target.create_topic(TOPIC)
    target.put_subscription(TopicSubscription("s9", TOPIC, "sqs", "work"))
    was = held_by(source)
    with pytest.raises(ConfigError, match=r"queue 'work': .*delay is 5.*'work' to topic.*policy"):
        Copy(source, target)
    assert target.queues() == ["work"]
    assert held_by(source) == was
    assert target.topics() == [TOPIC]
    with pytest.raises(QueueNotFound, match="idel"):
        Copy(source, target, ["idel"])


def test_a_broker_is_not_copied_to_itself_nor_to_two_at_once(opened: Open) -> None:
    source, target, third = opened("memory"), opened("memory"), opened("memory")
    declare(source)
    source.send("idle", [Message("1", "x")])
    with pytest.raises(ConfigError, match="one broker"):
        Copy(source, source).run()
    Copy(source, target, ["work"]).run()
    source.hand_out("b", "idle", target.records("broker", ["id"])["id"].value, 1)  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="1 batches of an earlier copy"):
        Copy(source, third).run()
    assert third.queues() == []


def test_what_was_handed_out_comes_back_when_nobody_goes_on(
    opened: Open, clock: ManualClock
) -> None:
    source, target = opened("memory"), opened("memory")
    declare(source)
    source.send("idle", [Message("1", "x"), Message("2", "x", delay=7200)])
    copy = Copy(source, target, ["idle"])
    copy.run()  # now it knows both
    to = target.records("broker", ["id"])["id"].value
    source.send("idle", [Message("3", "x"), Message("4", "x", delay=7200)])
    assert len(source.hand_out("b", "idle", to, 9).messages) == 2  # type: ignore[attr-defined]
    assert source.receive("idle") == []
    clock.advance(3601)
    (back,) = source.receive("idle", holding=Holding())
    assert (back.id, back.suspect, back.receive_count) == ("3", False, 1)
    (copied,) = copy.run()
    assert (copied.moved, copied.in_flight) == (1, 1), "it is received here now"
    assert {one.id for one in target.peek("idle")} == {"1", "2", "4"}
