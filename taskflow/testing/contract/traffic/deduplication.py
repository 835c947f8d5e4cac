"""FIFO queues: duplicates, sequence numbers, and receives that are asked for again."""

from collections.abc import Callable

import pytest

from taskflow.broker import Broker, Finish, QueueSettings
from taskflow.broker.settings import Sent
from taskflow.message import Delivery, Message
from taskflow.testing import ManualClock
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.fixtures import *
from taskflow.testing.contract.needs import needs

NEEDS = ("fifo",)


Send = Callable[..., list[Sent]]
Take = Callable[..., list[Delivery]]
CONTENT = QueueSettings(content_based_deduplication=True)
PER_GROUP = QueueSettings(deduplication_scope="messageGroup")


def ids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.id for delivery in deliveries]


def message(id: str, key: str | None, group: str = "g", body: str = "x") -> Message:
    return Message(id, body, group=group, deduplication_id=key)


@needs("dead_letters")
@pytest.mark.parametrize("fate", ["waiting", "in flight", "deleted", "dead"])
def test_a_duplicate_is_the_first_one_for_five_minutes(
    broker: Broker, clock: ManualClock, fifo: str, take: Take, fate: str
) -> None:
    (first,) = broker.send(fifo, [message("1", "key")])
    if fate != "waiting":
        (held,) = take(visibility=3600)
        if fate == "deleted":
            broker.delete([Finish(held)])
        elif fate == "dead":
            broker.dead_letter([(held, "{}")])
    clock.advance(299.9)
    assert broker.send(fifo, [message("2", "key", "other", "y")]) == [first]
    assert ids(take()) == (["1"] if fate == "waiting" else [])
    clock.advance(0.1)
    (later,) = broker.send(fifo, [message("2", "key", "other")])
    assert later.id == "2"
    assert later.sequence > first.sequence
    assert ids(take()) == ["2"]


def test_a_duplicate_does_not_renew_the_window(
    broker: Broker, clock: ManualClock, fifo: str
) -> None:
    for id, at in (("1", 0), ("2", 200), ("3", 300)):
        clock.set(1000.0 + at)
        (sent,) = broker.send(fifo, [message(id, "key")])
        assert sent.id == ("3" if id == "3" else "1")


def test_content_makes_the_key_when_the_queue_says_so(broker: Broker, clock: ManualClock) -> None:
    broker.create_queue("q.fifo", CONTENT)
    sent = broker.send(
        "q.fifo",
        [
            message("1", None, body="same"),
            Message("2", "same", {"other": "attribute"}, group="other"),
            message("3", None, body="different"),
            message("4", "own-key", body="same"),
        ],
    )
    assert [one.id for one in sent] == ["1", "1", "3", "4"]
    assert sorted(ids(broker.receive("q.fifo", limit=10))) == ["1", "3", "4"]
    assert broker.send("q.fifo", [message("5", None, body="same")]) == [sent[0]]


def test_the_key_that_content_makes_is_its_sha256(broker: Broker) -> None:
    broker.create_queue("q.fifo", CONTENT)
    broker.send("q.fifo", [message("1", None, body="abc")])
    (got,) = broker.receive("q.fifo")
    assert got.deduplication_id == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


@pytest.mark.parametrize(
    ("settings", "stored"), [(QueueSettings(), ["1", "1"]), (PER_GROUP, ["1", "2"])]
)
def test_the_scope_is_the_queue_or_the_group(
    broker: Broker, settings: QueueSettings, stored: list[str]
) -> None:
    broker.create_queue("q.fifo", settings)
    sent = broker.send("q.fifo", [message("1", "key", "a"), message("2", "key", "b")])
    assert [one.id for one in sent] == stored
    assert broker.send("q.fifo", [message("3", "key", "a")])[0].id == "1"


def test_a_changed_scope_counts_at_once(broker: Broker, fifo: str) -> None:
    broker.send(fifo, [message("1", "key", "a")])
    broker.set_queue(fifo, PER_GROUP)
    assert broker.send(fifo, [message("2", "key", "b")])[0].id == "2"
    assert broker.send(fifo, [message("3", "key", "b")])[0].id == "2"


def test_queues_deduplicate_apart(broker: Broker) -> None:
    for name in ("one.fifo", "two.fifo"):
        broker.create_queue(name)
        assert broker.send(name, [message(name, "key")])[0].id == name


@needs("repairs")
def test_a_purge_forgets_what_was_sent(broker: Broker, fifo: str, take: Take) -> None:
    broker.create_queue("group.fifo", PER_GROUP)
    for name in (fifo, "group.fifo"):
        broker.send(name, [message("1", "key")])
        broker.purge(name)
        broker.purged(name)
        assert broker.send(name, [message("2", "key")])[0].id == "2"
        assert ids(broker.receive(name)) == ["2"]


def test_a_queue_made_anew_knows_no_duplicates(broker: Broker) -> None:
    for id in ("1", "2"):
        broker.create_queue("q.fifo")
        assert broker.send("q.fifo", [message(id, "key")])[0].id == id
        broker.delete_queue("q.fifo")


def test_sequence_numbers_rise_whatever_becomes_of_the_messages(
    broker: Broker, clock: ManualClock, send: Send, take: Take
) -> None:
    numbers = [one.sequence for one in send("a1", "a2", "b1")]
    for id, step in (("a3", 0.0), ("a4", -500.0), ("b2", 1.0), ("a5", 600.0)):
        held = take(visibility=43200)
        assert all(one.sequence in numbers for one in held)
        broker.delete([Finish(one) for one in held])
        clock.advance(step)
        numbers += [one.sequence for one in send(id)]
    assert numbers == sorted(set(numbers))


@needs("dead_letters", "repairs")
def test_a_redriven_message_gets_a_number_after_all_others(
    broker: Broker, clock: ManualClock, send: Send, take: Take
) -> None:
    send("a1")
    broker.dead_letter([(held, "{}") for held in take()])
    (second,) = send("a2")
    broker.delete([Finish(held) for held in take()])
    clock.advance(-100)
    broker.redrive("work-dlq.fifo")
    clock.advance(100)
    (back,) = take()
    assert back.sequence > second.sequence
    assert send("a3")[0].sequence > back.sequence


# ---- attempts -------------------------------------------------------------------------------
def test_a_repeated_attempt_lends_the_same_under_the_same_receipts(
    broker: Broker, clock: ManualClock, send: Send, take: Take
) -> None:
    send("a1", "a2", "b1")
    first = take(limit=2, attempt="try")
    clock.advance(20)
    again = take(limit=2, attempt="try")
    assert [(one.id, one.receipt) for one in again] == [(one.id, one.receipt) for one in first]
    assert [one.receive_count for one in again] == [1, 1]
    assert [one.visible_at for one in again] == [1050.0, 1050.0]
    clock.advance(29.9)
    assert ids(take()) == ["b1"]
    assert broker.delete([Finish(one) for one in first]) == [True, True]


def test_another_attempt_or_none_is_another_receive(send: Send, take: Take) -> None:
    send("a1", "b1", "c1")
    assert ids(take(limit=1, attempt="one")) == ["a1"]
    assert ids(take(limit=1, attempt="two")) == ["b1"]
    assert ids(take(limit=1)) == ["c1"]


@needs("repairs")
@pytest.mark.parametrize(
    "change",
    [
        "deleted",
        "hidden",
        "shown",
        "given back",
        "purged",
    ],
)
def test_an_attempt_whose_messages_were_touched_is_a_new_receive(
    broker: Broker, send: Send, take: Take, change: str
) -> None:
    send("a1", "a2", "b1")
    one, _ = take(limit=2, attempt="try")
    if change == "deleted":
        broker.delete([Finish(one)])
    elif change == "hidden":
        broker.change_visibility([(one, 100)])
    elif change == "shown":
        broker.change_visibility([(one, 0)])
    elif change == "given back":
        broker.give_back([one])
    else:
        broker.purge("work.fifo", ["a1"])
    again = take(limit=10, attempt="try")
    assert ids(again) == (["a1", "b1"] if change in ("shown", "given back") else ["b1"])
    assert one.receipt not in {found.receipt for found in again}


def test_an_attempt_whose_lease_has_ended_is_a_new_receive(
    broker: Broker, clock: ManualClock, send: Send, take: Take
) -> None:
    send("a1")
    (old,) = take(attempt="try")
    clock.advance(30)
    (new,) = take(attempt="try")
    assert (new.receive_count, new.receipt == old.receipt) == (2, False)
    assert broker.leases([old, new]) == ["stale", "held"]


def test_an_attempt_is_remembered_for_five_minutes(
    clock: ManualClock, send: Send, take: Take
) -> None:
    send("a1", "b1")
    assert ids(take(limit=1, visibility=3600, attempt="try")) == ["a1"]
    clock.advance(300)
    assert ids(take(limit=1, visibility=3600, attempt="try")) == ["b1"]


def test_an_attempt_that_got_nothing_is_not_remembered(send: Send, take: Take) -> None:
    assert take(attempt="try") == []
    send("a1")
    assert ids(take(attempt="try")) == ["a1"]


def test_attempts_mean_nothing_on_a_standard_queue(broker: Broker) -> None:
    broker.create_queue("plain")
    broker.send("plain", [Message("1", "x"), Message("2", "x")])
    assert ids(broker.receive("plain", attempt="try")) == ["1"]
    assert ids(broker.receive("plain", attempt="try")) == ["2"]


__all__ = collected(globals(), NEEDS)
