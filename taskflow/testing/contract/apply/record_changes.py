"""Changes of records, counters and keys."""

from collections.abc import Callable

import pytest

from taskflow.broker import Broker
from taskflow.broker.change import (
    Add,
    Applied,
    Change,
    Free,
    Put,
    Remove,
    Send,
    Take,
)
from taskflow.broker.record import RecordQuery
from taskflow.broker.settings import Finish
from taskflow.errors import (
    KeyTaken,
    LimitExceeded,
    VersionConflict,
)
from taskflow.message import Delivery, Message
from taskflow.testing import ManualClock
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.fixtures import *
from taskflow.testing.contract.needs import needs

NEEDS = ("runs",)
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


def test_records_alone_are_written_all_or_none(broker: Broker) -> None:
    put = Put(kind="run", key="1", value="{}", expected=0)
    late = Put(kind="run", key="2", value="{}", expected=7)
    refused = Change(records=[put, late]), Change(records=[put, Remove("run", "2", expected=7)])
    for change in refused:
        (answer,) = broker.apply([change])
        assert isinstance(answer.refused, VersionConflict)
        assert (answer.refused.key, answer.versions) == ("2", ())
        assert broker.records("run", ["1", "2"]) == {}
    (answer,) = broker.apply([Change(records=[put, Remove("run", "2")])])
    assert answer.refused is None
    assert answer.versions == [broker.records("run", ["1"])["1"].version, 0]


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


@needs("coordination")
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


def test_who_counts_down_to_0_does_what_all_were_for(broker: Broker, queue: str, get: Get) -> None:
    then: list[Put | Send] = [
        Put(kind="run", key="2", value="all"),
        Send(queue, [Message("m", "all")]),
    ]
    put = Put(kind="run", key="1", value="x")
    up = Change(records=[put], counters=[Add("run", "1", 2, then)])
    make(broker, up)
    make(broker, Change(counters=[Add("run", "1", -1, then)]))
    assert (value(broker, "2"), get(queue)) == (None, [])
    last = Change(id="last", counters=[Add("run", "1", -1, then)])
    assert make(broker, last).counts == [0]
    assert value(broker, "2") == "all"
    (got,) = get(queue)
    assert (got.id, got.body) == ("m", "all")
    broker.delete([Finish(got)])
    assert make(broker, last).counts == [0]  # repeated: nothing is sent again
    assert get(queue) == []
    make(broker, Change(counters=[Add("run", "none", 0, then)]))  # there is no such count
    assert get(queue) == []


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


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (Change(id=""), "the id of a change has 0 characters; 1 to 512"),
        (Change(id="x" * 513), "the id of a change has 513 characters"),
        (Change(keys=[Take("x" * 10_000, "me")]), "a key has 10000 characters"),
        (Change(keys=[Take("k", "")]), "the holder of a key has 0 characters"),
        (Change(records=[Put(kind="", key="1", value="")]), "the kind of a record has 0"),
        (Change(records=[Put(kind="run", key="\ud800", value="")]), "which is no UTF-8"),
        (Change(records=[Put(kind="run", key="1", value="", state="")]), "the state of a record"),
        (Change(records=[Put(kind="run", key="1", value="", expected=2**64)]), "expected is"),
        (Change(records=[Remove("run", "1", -1)]), "expected is -1"),
        (Change(counters=[Add("run", "1", 2**63)]), "by is 9223372036854775808"),
    ],
)
def test_what_cannot_be_stored_is_refused_alone(broker: Broker, change: Change, why: str) -> None:
    good = Change(records=[Put(kind="run", key="good", value="a")])
    refused, made = broker.apply([change, good])
    assert isinstance(refused.refused, LimitExceeded)
    assert why in str(refused.refused)
    assert made.refused is None


def test_a_record_that_comes_back_is_the_newest(broker: Broker, clock: ManualClock) -> None:
    make(broker, Change(records=[Put(kind="run", key="b", value="", expires_at=1005.0)]))
    clock.advance(2)
    make(broker, Change(records=[Put(kind="run", key="a", value="")]))
    clock.advance(10)
    make(broker, Change(records=[Put(kind="run", key="b", value="")]))
    assert [one.key for one in broker.list_records(RecordQuery(kind="run")).records] == ["b", "a"]


def test_a_page_goes_on_behind_what_was_removed_meanwhile(broker: Broker) -> None:
    for key in "ab":
        make(broker, Change(records=[Put(kind="run", key=key, value="")]))
    query = RecordQuery(kind="run", order="oldest", limit=2)
    page = broker.list_records(query)
    make(broker, Change(records=[Remove("run", "b")]))
    make(broker, Change(records=[Put(kind="run", key="c", value="")]))
    rest = broker.list_records(RecordQuery(kind="run", order="oldest", limit=2, after=page.next))
    assert [one.key for one in rest.records] == ["c"]


__all__ = collected(globals(), NEEDS)
