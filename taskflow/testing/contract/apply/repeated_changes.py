"""Many changes at once, and a change that is made again."""

from collections.abc import Callable

import pytest

from taskflow.broker import Broker, Finish
from taskflow.broker.change import (
    Add,
    Applied,
    Change,
    Free,
    Put,
    Send,
    Take,
)
from taskflow.errors import (
    KeyTaken,
    LeaseLost,
    QueueNotFound,
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


# ---- many, and again ----------------------------------------------------------------------------
@needs("runs")
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


@needs("runs")
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


def test_a_change_made_again_answers_what_was_settled(
    broker: Broker, put: Callable[..., None], get: Get
) -> None:
    put("1")
    change = Change(id="c1", settlements=[Finish(get()[0])])
    assert make(broker, change).settled == [True]
    assert make(broker, change).settled == [True]


@needs("runs")
def test_a_refused_change_may_be_tried_again_under_its_id(broker: Broker) -> None:
    broker.apply([Change(keys=[Take("k", "a")])])
    change = Change(id="c1", keys=[Take("k", "b")])
    with pytest.raises(KeyTaken):
        make(broker, change)
    make(broker, Change(keys=[Free("k", "a")]))
    assert not make(broker, change).repeated
    assert broker.holders(["k"]) == {"k": "b"}


__all__ = collected(globals())
