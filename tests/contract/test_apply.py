"""Changes: everything in one happens, or nothing."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from taskflow.broker import Broker, Finish, QueueSettings
from taskflow.broker.change import (
    Add,
    Applied,
    Bury,
    Change,
    Free,
    GiveBack,
    Hide,
    Keep,
    Publish,
    Put,
    Remove,
    Send,
    Settlement,
    Take,
)
from taskflow.errors import (
    KeyTaken,
    LeaseLost,
    LimitExceeded,
    QueueNotFound,
    TopicNotFound,
    VersionConflict,
)
from taskflow.message import Delivery, Message
from taskflow.testing import ManualClock

Get = Callable[..., list[Delivery]]


def make(broker: Broker, change: Change) -> Applied:
    (answer,) = broker.apply([change])
    return answer.or_raise()


def value(broker: Broker, key: str = "1") -> str | None:
    found = broker.records("run", [key]).get(key)
    return found.value if found else None


# ---- records ------------------------------------------------------------------------------------
def test_a_record_is_read_as_it_was_put(broker: Broker, clock: ManualClock) -> None:
    put = Put(
        kind="run",
        key="1",
        value='{"a": 1}',
        parent="0",
        label="add",
        state="waiting",
        due_at=2000.0,
        expires_at=9000.0,
    )
    (version,) = make(broker, Change(records=[put])).versions
    clock.advance(5)
    record = broker.records("run", ["1", "2"])["1"]
    assert (record.value, record.parent, record.label) == ('{"a": 1}', "0", "add")
    assert (record.state, record.due_at, record.expires_at) == ("waiting", 2000.0, 9000.0)
    assert (record.version, record.count) == (version, 0)
    assert (record.created_at, record.changed_at) == (1000.0, 1000.0)
    assert broker.records("step", ["1"]) == {}


def test_a_put_replaces_every_field_but_the_count_and_the_beginning(
    broker: Broker, clock: ManualClock
) -> None:
    make(broker, Change(records=[Put(kind="run", key="1", value="a", parent="0", state="x")]))
    make(broker, Change(counters=[Add("run", "1", 3)]))
    clock.advance(5)
    make(broker, Change(records=[Put(kind="run", key="1", value="b")]))
    record = broker.records("run", ["1"])["1"]
    assert (record.value, record.parent, record.state, record.count) == ("b", None, None, 3)
    assert (record.created_at, record.changed_at) == (1000.0, 1005.0)


def test_a_version_expected_must_be_the_one_there_is(broker: Broker) -> None:
    (first,) = make(broker, Change(records=[Put(kind="run", key="1", value="a")])).versions
    (second,) = make(
        broker, Change(records=[Put(kind="run", key="1", value="b", expected=first)])
    ).versions
    assert second != first
    with pytest.raises(VersionConflict, match="run '1' is in version") as refused:
        make(broker, Change(records=[Put(kind="run", key="1", value="c", expected=first)]))
    assert (refused.value.expected, refused.value.found) == (first, second)
    with pytest.raises(VersionConflict):
        make(broker, Change(records=[Put(kind="run", key="1", value="c", expected=0)]))
    with pytest.raises(VersionConflict, match="does not exist"):
        make(broker, Change(records=[Put(kind="run", key="2", value="c", expected=first)]))
    with pytest.raises(VersionConflict):
        make(broker, Change(records=[Remove("run", "1", expected=first)]))
    assert value(broker) == "b"


def test_a_record_that_was_removed_has_another_version_when_it_is_made_anew(
    broker: Broker,
) -> None:
    (first,) = make(broker, Change(records=[Put(kind="run", key="1", value="a")])).versions
    assert make(broker, Change(records=[Remove("run", "1", first)])).versions == [0]
    assert value(broker) is None
    make(broker, Change(records=[Remove("run", "1")]))  # none there is no error
    (second,) = make(
        broker, Change(records=[Put(kind="run", key="1", value="b", expected=0)])
    ).versions
    assert second != first


def test_a_record_that_has_expired_is_not_there(broker: Broker, clock: ManualClock) -> None:
    put = Put(kind="run", key="1", value="a", expires_at=1010.0, state="x")
    (first,) = make(broker, Change(records=[put], counters=[Add("run", "1", 2)])).versions
    clock.advance(10)
    assert value(broker) is None
    assert broker.count_records("run") == {}
    assert make(broker, Change(counters=[Add("run", "1", 1)])).counts == [None]
    with pytest.raises(VersionConflict):
        make(broker, Change(records=[Put(kind="run", key="1", value="b", expected=first)]))
    anew = Put(kind="run", key="1", value="b", expected=0)
    (second,) = make(broker, Change(records=[anew])).versions
    record = broker.records("run", ["1"])["1"]
    assert (record.created_at, record.count, second != first) == (1010.0, 0, True)


def test_upkeep_removes_what_has_expired_and_nothing_else(
    broker: Broker, clock: ManualClock
) -> None:
    puts = [Put(kind="run", key=str(n), value="a", expires_at=1010.0) for n in range(5)]
    keys = [Take("k", "me", 1010.0), Take("for good", "me")]
    make(broker, Change(records=[*puts, Put(kind="run", key="kept", value="a")], keys=keys))
    clock.advance(10)
    while broker.upkeep(2):
        pass
    assert value(broker, "kept") == "a"
    assert broker.holders(["k", "for good"]) == {"for good": "me"}


# ---- counters -----------------------------------------------------------------------------------
def test_a_counter_answers_what_it_is_now_and_leaves_the_version(broker: Broker) -> None:
    (version,) = make(broker, Change(records=[Put(kind="run", key="1", value="a")])).versions
    assert make(broker, Change(counters=[Add("run", "1", 10)])).counts == [10]
    assert make(broker, Change(counters=[Add("run", "1", -3), Add("run", "1", -1)])).counts == [
        7,
        6,
    ]
    assert make(broker, Change(counters=[Add("run", "none", 1)])).counts == [None]
    record = broker.records("run", ["1"])["1"]
    assert (record.count, record.version) == (6, version)


# ---- keys ---------------------------------------------------------------------------------------
def test_a_key_has_one_holder(broker: Broker) -> None:
    make(broker, Change(keys=[Take("k", "a")]))
    make(broker, Change(keys=[Take("k", "a")]))  # again
    with pytest.raises(KeyTaken, match="held by 'a'") as refused:
        make(broker, Change(keys=[Take("other", "b"), Take("k", "b")]))
    assert (refused.value.holder, refused.value.until) == ("a", None)
    assert broker.holders(["k", "other"]) == {"k": "a"}
    make(broker, Change(keys=[Free("k", "b")]))  # not its own
    assert broker.holders(["k"]) == {"k": "a"}
    make(broker, Change(keys=[Free("k", "a"), Take("k", "b")]))
    assert broker.holders(["k"]) == {"k": "b"}


def test_a_key_is_free_when_its_time_is_over(broker: Broker, clock: ManualClock) -> None:
    make(broker, Change(keys=[Take("k", "a", 1010.0)]))
    with pytest.raises(KeyTaken):
        make(broker, Change(keys=[Take("k", "b", 1020.0)]))
    clock.advance(10)
    assert broker.holders(["k"]) == {}
    make(broker, Change(keys=[Take("k", "b", 1020.0)]))
    assert broker.holders(["k"]) == {"k": "b"}


def test_one_of_many_holds_a_lease(broker: Broker, clock: ManualClock) -> None:
    assert broker.hold("ticks", "a", 10) is True
    assert broker.hold("ticks", "b", 10) is False
    clock.advance(9)
    assert broker.hold("ticks", "a", 10) is True
    clock.advance(9)
    assert broker.hold("ticks", "b", 10) is False
    clock.advance(1)
    assert broker.hold("ticks", "b", 10) is True
    assert broker.hold("ticks", "a", 10) is False


# ---- sends --------------------------------------------------------------------------------------
def test_what_is_sent_and_published_arrives(broker: Broker, queue: str, get: Get) -> None:
    broker.create_queue("other")
    both = [Message("1", "x"), Message("2", "y")]
    sends: list[Send | Publish] = [Publish("made", both), Send("other", [Message("3", "z")])]
    answer = make(broker, Change(sends=sends))
    assert [[one.id for one in sent] for sent in answer.sent] == [["1", "2"], ["3"]]
    assert [one.id for one in get()] == ["1", "2"]
    assert [(one.id, one.topic) for one in get("other")] == [("3", "")]


def test_a_publish_obeys_filters(broker: Broker, queue: str, get: Get) -> None:
    (one,) = broker.subscriptions("made")
    broker.put_subscription(replace(one, filter_policy='{"kind": ["a"]}'))
    messages = [Message("1", "x", {"kind": "a"}), Message("2", "y", {"kind": "b"})]
    make(broker, Change(sends=[Publish("made", messages)]))
    assert [one.id for one in get()] == ["1"]


@pytest.mark.differs("aws", "what is sent and what is recorded are no one transaction")
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


def test_a_fifo_message_is_held_as_long_as_its_lease(
    broker: Broker, send: Callable[..., object], take: Get, clock: ManualClock
) -> None:
    send("a1")
    (mine,) = take()
    clock.advance(31)
    with pytest.raises(LeaseLost):
        make(broker, Change(fence=mine, settlements=[Finish(mine)]))


# ---- many, and again ----------------------------------------------------------------------------
def test_one_that_is_refused_keeps_no_other_from_being_made(broker: Broker) -> None:
    changes = [
        Change(records=[Put(kind="run", key="1", value="a", expected=0)]),
        Change(
            records=[
                Put(kind="run", key="2", value="b"),
                Put(kind="run", key="1", value="b", expected=0),
            ]
        ),
        Change(sends=[Send("nosuch", [Message("1", "x")])]),
        Change(records=[Put(kind="run", key="3", value="c")]),
    ]
    answers = broker.apply(changes)
    assert [type(one.refused) for one in answers] == [
        type(None),
        VersionConflict,
        QueueNotFound,
        type(None),
    ]
    assert [value(broker, key) for key in "123"] == ["a", None, "c"]
    assert broker.apply([]) == []


def test_a_change_with_an_id_is_made_once(
    broker: Broker, put: Callable[..., None], get: Get, clock: ManualClock
) -> None:
    put("1")
    (mine,) = get()
    broker.create_queue("other")
    change = Change(
        id="c1",
        remembered=60,
        fence=mine,
        records=[Put(kind="run", key="1", value="a", expected=0)],
        sends=[Send("other", [Message("2", "x")])],
        settlements=[Finish(mine)],
    )
    first = make(broker, change)
    make(broker, Change(counters=[Add("run", "1", 1)]))
    again = make(broker, change)
    assert again.repeated
    assert again.versions == first.versions
    assert [[one.id for one in sent] for sent in again.sent] == [["2"]]
    assert broker.counts("other").visible == 1
    clock.advance(60)
    with pytest.raises(LeaseLost):  # forgotten: it is tried anew
        make(broker, change)


@pytest.mark.differs("aws", "a receipt that settled its message is stale, whoever asks again")
def test_a_change_made_again_answers_what_was_settled(
    broker: Broker, put: Callable[..., None], get: Get
) -> None:
    put("1")
    change = Change(id="c1", settlements=[Finish(get()[0])])
    assert make(broker, change).settled == [True]
    assert make(broker, change).settled == [True]


def test_a_refused_change_may_be_tried_again_under_its_id(broker: Broker) -> None:
    broker.apply([Change(keys=[Take("k", "a")])])
    change = Change(id="c1", keys=[Take("k", "b")])
    with pytest.raises(KeyTaken):
        make(broker, change)
    make(broker, Change(keys=[Free("k", "a")]))
    assert not make(broker, change).repeated
    assert broker.holders(["k"]) == {"k": "b"}
