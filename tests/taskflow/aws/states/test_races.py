"""Several hosts that change the same things at once: one wins, and nothing is lost."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any, TypeVar

import pytest

from taskflow.broker.change import Add, Applied, Change, Free, Put, Remove, Take
from taskflow.brokers.aws.client import Api
from taskflow.brokers.aws.remote_state import RemoteState
from taskflow.errors import BrokerUnavailable, KeyTaken, VersionConflict
from taskflow.testing import ManualClock
from tests.taskflow.aws.states.places import Place

T = TypeVar("T")
HOSTS = 4


class Hurried(ManualClock):
    """A clock on which nobody rests between two tries."""

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        return False


@pytest.fixture
def hurried() -> Hurried:
    return Hurried(1000.0)


@pytest.fixture
def hosts(place: Place, hurried: Hurried, monkeypatch: pytest.MonkeyPatch) -> Sequence[RemoteState]:
    # DynamoDB takes conditional writes of one item in turn. moto checks and writes in two steps,
    # and under load lets two through.
    turn, call = threading.Lock(), Api.call

    def in_turn(api: Api, *arguments: Any, **more: Any) -> Any:
        with turn:
            return call(api, *arguments, **more)

    monkeypatch.setattr(Api, "call", in_turn)
    found = [RemoteState(place.open(hurried), hurried, Random(n)) for n in range(HOSTS)]
    found[0].records("run", ["1"])  # tables are made when they are first asked for
    return found


def at_once(hosts: Sequence[RemoteState], work: Callable[[RemoteState, int], T]) -> list[T]:
    """What each host made of it, all at once."""
    together = threading.Barrier(len(hosts))

    def run(number: int) -> T:
        together.wait(20)
        return work(hosts[number], number)

    with ThreadPoolExecutor(len(hosts)) as threads:
        return list(threads.map(run, range(len(hosts))))


def make(state: RemoteState, change: Change) -> Applied:
    """Make a change, again while others are in the way, as a worker does."""
    while True:
        try:
            return state.apply([change])[0]
        except BrokerUnavailable as error:
            if "met another's" not in str(error):
                raise


def test_of_many_that_make_a_record_one_does(hosts: Sequence[RemoteState]) -> None:
    def put(state: RemoteState, number: int) -> Applied:
        return make(
            state, Change(records=[Put(kind="run", key="1", value=str(number), expected=0)])
        )

    answers = at_once(hosts, put)
    (winner,) = [n for n, answer in enumerate(answers) if answer.refused is None]
    others = [answer.refused for answer in answers if answer.refused is not None]
    assert all(isinstance(one, VersionConflict) for one in others)
    record = hosts[0].records("run", ["1"])["1"]
    assert (record.value, [record.version]) == (str(winner), answers[winner].versions)


def test_of_many_that_want_a_key_one_has_it(hosts: Sequence[RemoteState]) -> None:
    def take(state: RemoteState, number: int) -> Applied:
        return make(state, Change(keys=[Take("k", str(number), 1060.0)]))

    answers = at_once(hosts, take)
    (winner,) = [n for n, answer in enumerate(answers) if answer.refused is None]
    refused = [answer.refused for answer in answers if answer.refused is not None]
    assert [type(one) for one in refused] == [KeyTaken] * (HOSTS - 1)
    assert hosts[0].holders(["k"]) == {"k": str(winner)}


def test_an_expired_record_and_a_lapsed_key_are_taken_over_once(
    hosts: Sequence[RemoteState], hurried: Hurried
) -> None:
    make(
        hosts[0],
        Change(
            records=[Put(kind="run", key="1", value="old", expires_at=1010.0)],
            keys=[Take("k", "gone", 1010.0)],
        ),
    )
    hurried.advance(10)

    def take(state: RemoteState, number: int) -> Applied:
        put = Put(kind="run", key="1", value=str(number), expected=0)
        return make(state, Change(keys=[Take("k", str(number))], records=[put]))

    answers = at_once(hosts, take)
    (winner,) = [n for n, answer in enumerate(answers) if answer.refused is None]
    assert hosts[0].holders(["k"]) == {"k": str(winner)}
    assert hosts[0].records("run", ["1"])["1"].value == str(winner)


def test_of_what_is_counted_at_once_nothing_is_lost(hosts: Sequence[RemoteState]) -> None:
    make(hosts[0], Change(records=[Put(kind="run", key="1", value="")]))

    def count(state: RemoteState, number: int) -> list[int | None]:
        return [
            make(state, Change(id=f"{number}/{n}", counters=[Add("run", "1", 1)])).counts[0]
            for n in range(6)
        ]

    answered = [one for answers in at_once(hosts, count) for one in answers]
    assert sorted(answered, key=str) == sorted(range(1, 6 * HOSTS + 1), key=str)
    assert hosts[0].records("run", ["1"])["1"].count == 6 * HOSTS


def test_the_last_of_many_does_what_all_were_for_once(hosts: Sequence[RemoteState]) -> None:
    each = 5
    begin = [Put(kind="run", key="1", value="")]
    make(hosts[0], Change(records=begin, counters=[Add("run", "1", each * HOSTS)]))
    then = [Put(kind="run", key="after", value="all", expected=0)]  # a second one is refused

    def count(state: RemoteState, number: int) -> list[Applied]:
        return [
            make(state, Change(id=f"{number}/{n}", counters=[Add("run", "1", -1, then)]))
            for n in range(each)
        ]

    answers = [one for some in at_once(hosts, count) for one in some]
    assert [one.refused for one in answers if one.refused is not None] == []
    assert sum(one.counts == [0] for one in answers) == 1
    assert hosts[0].records("run", ["after"])["after"].value == "all"


def test_of_many_that_make_one_change_one_does(hosts: Sequence[RemoteState]) -> None:
    make(hosts[0], Change(records=[Put(kind="run", key="1", value="")]))
    change = Change(
        id="c1",
        counters=[Add("run", "1", 1)],
        records=[Put(kind="run", key="2", value="")],
        keys=[Take("k", "me")],
    )
    answers = at_once(hosts, lambda state, _: make(state, change))
    assert sorted(one.repeated for one in answers) == [False, *[True] * (HOSTS - 1)]
    assert {tuple(one.versions) for one in answers} == {tuple(answers[0].versions)}
    assert hosts[0].records("run", ["1"])["1"].count == 1


def test_of_what_is_read_and_written_back_nothing_is_lost(hosts: Sequence[RemoteState]) -> None:
    make(hosts[0], Change(records=[Put(kind="run", key="1", value="0")]))

    def raise_it(state: RemoteState, _: int) -> None:
        made = 0
        while made < 4:
            found = state.records("run", ["1"])["1"]
            put = Put(kind="run", key="1", value=str(int(found.value) + 1), expected=found.version)
            made += make(state, Change(records=[put])).refused is None

    at_once(hosts, raise_it)
    assert hosts[0].records("run", ["1"])["1"].value == str(4 * HOSTS)


@pytest.mark.slow
def test_who_names_things_in_another_order_waits_for_nobody(hosts: Sequence[RemoteState]) -> None:
    """Each in an order of its own: none of them ends in a ring of waiting."""
    keys = [str(n) for n in range(6)]
    make(hosts[0], Change(records=[Put(kind="run", key=key, value="") for key in keys]))

    def change(state: RemoteState, number: int) -> None:
        order = Random(number)
        for n in range(4):
            some = order.sample(keys, len(keys))
            counters = [Add("run", key, 1) for key in some]
            new = [Put(kind="new", key=f"{number}/{n}/{key}", value="") for key in some]
            make(state, Change(id=f"{number}/{n}", counters=counters, records=new)).or_raise()

    at_once(hosts, change)
    counts = {one.count for one in hosts[0].records("run", keys).values()}
    assert counts == {4 * HOSTS}


@pytest.mark.slow
def test_what_comes_and_goes_at_once_is_there_or_not(hosts: Sequence[RemoteState]) -> None:
    """Made and removed by all at once: each sees a whole record, and in the end there is none."""

    def come_and_go(state: RemoteState, number: int) -> None:
        for _ in range(4):
            come = [Put(kind="run", key="1", value=str(number))]
            make(state, Change(keys=[Take("k", "all")], records=come)).or_raise()
            make(state, Change(keys=[Free("k", "all")], records=[Remove("run", "1")])).or_raise()

    at_once(hosts, come_and_go)
    assert hosts[0].records("run", ["1"]) == {}
    assert hosts[0].holders(["k"]) == {}
