"""Changes that send and settle messages, and the fence."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from taskflow.broker import Broker, Finish, QueueSettings
from taskflow.broker.change import (
    Add,
    Applied,
    Bury,
    Change,
    GiveBack,
    Hide,
    Keep,
    Publish,
    Put,
    Send,
    Settlement,
    Take,
)
from taskflow.errors import (
    LeaseLost,
    LimitExceeded,
    QueueNotFound,
    TopicNotFound,
    VersionConflict,
)
from taskflow.message import Delivery, Message
from taskflow.testing import ManualClock
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.fixtures import *
from taskflow.testing.contract.needs import needs

Get = Callable[..., list[Delivery]]


def make(broker: Broker, change: Change) -> Applied:
    (answer,) = broker.apply([change])
    return answer.or_raise()


def value(broker: Broker, key: str = "1") -> str | None:
    found = broker.records("run", [key]).get(key)
    return found.value if found else None


# ---- sends --------------------------------------------------------------------------------------
def test_what_is_sent_and_published_arrives(broker: Broker, queue: str, get: Get) -> None:
    broker.create_queue("other")
    both = [Message("1", "x"), Message("2", "y")]
    sends: list[Send | Publish] = [Publish("made", both), Send("other", [Message("3", "z")])]
    answer = make(broker, Change(sends=sends))
    assert [[one.id for one in sent] for sent in answer.sent] == [["1", "2"], ["3"]]
    assert [one.id for one in get()] == ["1", "2"]
    assert [(one.id, one.topic) for one in get("other")] == [("3", "")]


@needs("filters")
def test_a_publish_obeys_filters(broker: Broker, queue: str, get: Get) -> None:
    (one,) = broker.subscriptions("made")
    broker.put_subscription(replace(one, filter_policy='{"kind": ["a"]}'))
    messages = [Message("1", "x", {"kind": "a"}), Message("2", "y", {"kind": "b"})]
    make(broker, Change(sends=[Publish("made", messages)]))
    assert [one.id for one in get()] == ["1"]


@needs("atomic", "runs")
def test_a_send_that_cannot_be_undoes_the_rest(broker: Broker, queue: str) -> None:
    put = Put(kind="run", key="1", value="a")
    for send, error in (
        (Send("nosuch", [Message("1", "x")]), QueueNotFound),
        (Publish("nosuch", [Message("1", "x")]), TopicNotFound),
    ):
        with pytest.raises(error):
            make(broker, Change(records=[put], sends=[send]))
    broker.create_queue("small", QueueSettings(max_message_bytes=1024))
    with pytest.raises(LimitExceeded):
        make(broker, Change(records=[put], sends=[Send("small", [Message("1", "x" * 1025)])]))
    assert value(broker) is None


# ---- settlements --------------------------------------------------------------------------------
@needs("dead_letters", "coordination")
def test_every_kind_of_settlement(
    broker: Broker, put: Callable[..., None], get: Get, clock: ManualClock
) -> None:
    put("done", "hide", "keep", "back", "dead")
    by_id = {one.id: one for one in get()}
    settlements: list[Settlement] = [
        Finish(by_id["done"], remember=60),
        Hide(by_id["hide"], 5),
        Keep(by_id["keep"], 100),
        GiveBack(by_id["back"]),
        Bury(by_id["dead"], '{"reason": "no"}'),
    ]
    assert make(broker, Change(settlements=settlements)).settled == [True] * 5
    assert broker.finished("work", [("done", "made")]) == {("done", "made")}
    assert by_id["keep"].visible_at == 1100.0
    (back,) = get()
    assert (back.id, back.receive_count) == ("back", 1)
    clock.advance(5)
    (hidden,) = get()
    assert (hidden.id, hidden.receive_count) == ("hide", 2)
    assert [one.id for one in get("work-dlq")] == ["dead"]
    again = make(broker, Change(settlements=settlements)).settled
    assert again == [False, False, True, False, False], "receipts are stale, but for the one kept"


@needs("runs")
def test_a_stale_receipt_settles_nothing_and_keeps_nothing_else_from_happening(
    broker: Broker, put: Callable[..., None], get: Get, clock: ManualClock
) -> None:
    put("1", "2")
    one, two = get()
    clock.advance(31)
    get(limit=1)  # somebody else has the first
    change = Change(
        settlements=[Finish(one), Finish(two)], records=[Put(kind="run", key="1", value="a")]
    )
    assert make(broker, change).settled == [False, True]
    assert value(broker) == "a"


# ---- the fence ----------------------------------------------------------------------------------
@needs("runs")
def test_nothing_happens_when_the_message_is_no_longer_held(
    broker: Broker, put: Callable[..., None], get: Get, clock: ManualClock
) -> None:
    put("1")
    (mine,) = get()
    clock.advance(31)
    (theirs,) = get()
    broker.create_queue("other")
    change = Change(
        fence=mine,
        keys=[Take("k", "me")],
        records=[Put(kind="run", key="1", value="a")],
        sends=[Send("other", [Message("2", "x")])],
        settlements=[Finish(mine)],
    )
    with pytest.raises(LeaseLost, match="'1' of queue 'work' is no longer held"):
        make(broker, change)
    assert value(broker) is None
    assert broker.holders(["k"]) == {}
    assert broker.counts("other").visible == 0
    held = Change(
        fence=theirs,
        records=[Put(kind="run", key="1", value="b")],
        settlements=[Finish(theirs)],
    )
    assert make(broker, held).settled == [True]
    assert value(broker) == "b"
    with pytest.raises(LeaseLost, match="gone"):
        make(broker, held)


def test_a_lease_that_lapsed_holds_until_somebody_else_receives_it(
    broker: Broker, put: Callable[..., None], get: Get, clock: ManualClock
) -> None:
    """As `delete` takes it: nobody else can be running it."""
    put("1")
    (mine,) = get()
    clock.advance(31)
    assert make(broker, Change(fence=mine, settlements=[Finish(mine)])).settled == [True]


@needs("fifo")
def test_a_fifo_message_is_held_as_long_as_its_lease(
    broker: Broker, send: Callable[..., object], take: Get, clock: ManualClock
) -> None:
    send("a1")
    (mine,) = take()
    clock.advance(31)
    with pytest.raises(LeaseLost):
        make(broker, Change(fence=mine, settlements=[Finish(mine)]))


@needs("atomic", "runs", "dead_letters")
def test_a_settlement_that_cannot_be_undoes_the_rest(
    broker: Broker, put: Callable[..., None], get: Get
) -> None:
    put("1")
    (mine,) = get()
    broker.create_queue("bare")
    broker.send("bare", [Message("2", "x")])
    (other,) = broker.receive("bare")
    make(broker, Change(records=[Put(kind="run", key="1", value="a")]))
    change = Change(counters=[Add("run", "1", 5)], settlements=[Finish(mine), Bury(other, "{}")])
    with pytest.raises(LimitExceeded, match="no dead-letter queue"):
        make(broker, change)
    assert broker.records("run", ["1"])["1"].count == 0
    assert broker.delete([Finish(mine)]) == [True]


@needs("filters")
def test_many_publishes_to_topics_with_filters_arrive(broker: Broker, queue: str, get: Get) -> None:
    (one,) = broker.subscriptions("made")
    broker.put_subscription(replace(one, filter_policy='{"kind": ["a"]}'))
    changes = [
        Change(sends=[Publish("made", [Message(str(n), "x", {"kind": "ab"[n % 2]})])])
        for n in range(8)
    ]
    assert all(answer.refused is None for answer in broker.apply(changes))
    assert sorted(one.id for one in get()) == ["0", "2", "4", "6"]


@needs("atomic")
@pytest.mark.parametrize("second", ["finishes", "is fenced by"])
def test_of_two_changes_that_want_a_message_one_is_made(
    broker: Broker, queue: str, second: str
) -> None:
    """Made together as one after the other."""
    broker.create_queue("out")
    broker.send(queue, [Message("1", "x"), Message("2", "x")])
    one, other = broker.receive(queue, limit=2)
    ends = [Finish(one)] if second == "finishes" else [Finish(other)]
    answers = broker.apply(
        [
            Change(fence=one, sends=[Send("out", [Message("a", "x")])], settlements=[Finish(one)]),
            Change(fence=one, sends=[Send("out", [Message("b", "x")])], settlements=ends),
        ]
    )
    assert [type(answer.refused).__name__ for answer in answers] == ["NoneType", "LeaseLost"]
    assert [found.id for found in broker.peek("out")] == ["a"]
    assert broker.counts(queue).handled == 1


@needs("atomic")
def test_a_change_whose_queue_is_gone_spoils_no_other(broker: Broker, queue: str) -> None:
    broker.create_queue("gone")
    broker.send("gone", [Message("1", "x")])
    broker.send(queue, [Message("2", "x")])
    (lost,), (kept,) = broker.receive("gone"), broker.receive(queue)
    broker.delete_queue("gone")
    answers = broker.apply([Change(settlements=[Finish(one)]) for one in (kept, lost)])
    assert [type(answer.refused).__name__ for answer in answers] == ["NoneType", "QueueNotFound"]
    assert list(answers[0].settled) == [True]


@needs("atomic", "runs")
def test_runs_that_end_together_end_each_by_itself(broker: Broker, queue: str) -> None:
    broker.send(queue, [Message(f"m{at}", "x") for at in range(4)])
    received = [one for _ in range(4) for one in broker.receive(queue, limit=4)]
    held = {one.id: one for one in received}
    keys = sorted(held)
    new = [
        Change(
            records=[Put(kind="run", key=key, value="a", expected=0, label="t", state="waiting")]
        )
        for key in keys
    ]
    versions = [one.or_raise().versions[0] for one in broker.apply(new)]
    broker.apply([Change(records=[Put(kind="run", key="m1", value="b", label="t")])])
    broker.give_back([held["m2"]])
    ends = [
        Change(
            fence=held[key],
            records=[
                Put(kind="run", key=key, value="c", expected=version, label=label, state="done")
            ],
            settlements=[Finish(held[key])],
        )
        for key, version, label in zip(keys, versions, ("t", "t", "t", "u"), strict=True)
    ]
    answers = broker.apply(ends)
    assert [type(one.refused) for one in answers] == [
        *(type(None), VersionConflict, LeaseLost, type(None))
    ]
    assert [list(one.settled) for one in answers] == [[True], [], [], [True]]
    found = broker.records("run", keys)
    assert [found[key].value for key in keys] == ["c", "b", "a", "c"]
    for at, key in ((0, "m0"), (3, "m3")):
        assert list(answers[at].versions) == [found[key].version]
    assert found["m3"].label == "u"
    assert sorted(one.id for one in broker.peek(queue)) == ["m1", "m2"]
    assert broker.counts(queue).handled == 2


__all__ = collected(globals())
