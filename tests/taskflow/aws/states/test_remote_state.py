"""What every place that hosts share does: large changes, waiting, expiry, order over hosts."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Condition

import pytest

from taskflow.broker.change import Add, Change, Free, Put, Remove, Take
from taskflow.broker.record import RecordQuery
from taskflow.brokers.aws.remote_state import SWEEP, RemoteState
from taskflow.coordination.record_store import Names, Note, RecordStore, Things
from taskflow.errors import BrokerUnavailable, VersionConflict
from taskflow.testing import ManualClock
from tests.taskflow.aws.states.places import Place

QUERY = RecordQuery(kind="run", order="oldest", limit=1000)


@pytest.fixture
def manual() -> ManualClock:
    return ManualClock(1000.0)


@pytest.fixture
def store(place: Place, manual: ManualClock) -> RecordStore:
    return place.open(manual)


@pytest.fixture
def state(store: RecordStore, manual: ManualClock) -> RemoteState:
    return RemoteState(store, manual, Random(7))


def puts(count: int, **more: int | str) -> Sequence[Put]:
    return [
        Put(kind="run", key=f"{n:04}", value=str(n), parent="p", state="waiting", **more)  # type: ignore[arg-type]
        for n in range(count)
    ]


@pytest.mark.slow
def test_a_plan_of_hundreds_of_runs_is_one_change(state: RemoteState) -> None:
    change = Change(
        id="plan",
        keys=[Take("k", "me")],
        records=puts(230, expected=0),
        counters=[Add("run", "0000", 229), Add("run", "0001", 2)],
    )
    (answer,) = state.apply([change])
    assert answer.or_raise().counts == [229, 2]
    assert state.apply([change])[0].repeated
    assert [one.key for one in state.list_records(QUERY).records] == [f"{n:04}" for n in range(230)]
    assert state.count_records("run") == {"waiting": 230}
    found = state.records("run", [f"{n:04}" for n in range(230)])
    assert [found[f"{n:04}"].version for n in range(230)] == list(answer.versions)
    assert (found["0000"].count, found["0002"].count) == (229, 0)
    assert state.holders(["k"]) == {"k": "me"}


@pytest.mark.slow
def test_hundreds_of_records_are_removed_by_one_change(state: RemoteState) -> None:
    state.apply([Change(records=puts(150))])
    gone = [Remove("run", f"{n:04}") for n in range(1, 150)]
    (answer,) = state.apply([Change(id="sweep", records=gone)])
    assert answer.or_raise().versions == [0] * 149
    assert [one.key for one in state.list_records(QUERY).records] == ["0000"]


@pytest.mark.slow
def test_hundreds_of_records_are_written_anew_by_one_change(state: RemoteState) -> None:
    first = state.apply([Change(records=puts(150))])[0].or_raise().versions
    again = [
        Put(kind="run", key=f"{n:04}", value="again", expected=version)
        for n, version in enumerate(first)
    ]
    second = state.apply([Change(id="again", records=again)])[0].or_raise().versions
    found = state.records("run", [f"{n:04}" for n in range(150)])
    assert {one.value for one in found.values()} == {"again"}
    assert [found[f"{n:04}"].version for n in range(150)] == list(second)


@pytest.mark.parametrize("size", [150_000, 250_000, 1_000_000])
def test_a_long_value_is_kept_whole(state: RemoteState, size: int) -> None:
    value = "ä☃" * (size // 5)
    state.apply([Change(records=[Put(kind="run", key="1", value=value, label="x")])])
    assert state.records("run", ["1"])["1"].value == value
    state.apply([Change(counters=[Add("run", "1", 2)])])
    (found,) = state.list_records(QUERY).records
    assert (found.value, found.count) == (value, 2)
    state.apply([Change(records=[Put(kind="run", key="1", value="short")])])
    assert state.records("run", ["1"])["1"].value == "short"
    state.apply([Change(records=[Remove("run", "1")])])
    assert state.records("run", ["1"]) == {}


@pytest.mark.parametrize("name", ["A", "a", "käse ☃", "x" * 512, "☃" * 512, " a", "a ", "a|b#c"])
def test_any_name_will_do(state: RemoteState, name: str) -> None:
    others = {"A", "a", "a ", " a", "b"} - {name}
    for one in (name, *sorted(others)):
        put = Put(kind="run", key=one, value=one, expected=0, parent=one, label=one, state=one)
        state.apply([Change(records=[put], keys=[Take(one, one)])])[0].or_raise()
    assert state.records("run", [name])[name].value == name
    assert state.holders([name]) == {name: name}
    for query in (
        RecordQuery(kind="run", parent=name),
        RecordQuery(kind="run", label=name),
        RecordQuery(kind="run", states=[name]),
    ):
        assert [one.key for one in state.list_records(query).records] == [name]
    state.apply([Change(records=[Put(kind=name, key="k", value="", due_at=5.0, parent="p")])])
    for query in (
        RecordQuery(kind=name),
        RecordQuery(kind=name, order="due"),
        RecordQuery(kind=name, parent="p"),
    ):
        assert [one.key for one in state.list_records(query).records] == ["k"]


def test_records_of_several_hosts_are_listed_in_the_order_of_their_making(
    place: Place, manual: ManualClock
) -> None:
    hosts = [RemoteState(place.open(manual), manual, Random(n)) for n in range(3)]
    for n in range(9):
        put = Put(kind="run", key=str(n), value="", due_at=50.0 - n // 3)
        hosts[n % 3].apply([Change(records=[put])])
        manual.advance(0.001)
    assert [one.key for one in hosts[0].list_records(QUERY).records] == list("012345678")
    seen, after = [], None
    while True:
        due = RecordQuery(kind="run", order="due", limit=2, after=after)
        page = hosts[1].list_records(due)
        seen += [one.key for one in page.records]
        if (after := page.next) is None:
            break
    assert seen == list("678345012")


def test_a_change_that_answers_nothing_new_writes_nothing(state: RemoteState) -> None:
    assert state.apply([Change(counters=[Add("run", "none", 1)])])[0].counts == [None]
    state.apply([Change(records=[Remove("run", "none")])])[0].or_raise()
    both: list[Put | Remove] = [Put(kind="run", key="1", value=""), Remove("run", "1")]
    change = Change(records=both, keys=[Take("k", "me"), Free("k", "me")])
    assert state.apply([change])[0].or_raise().versions[1] == 0
    assert (state.records("run", ["1"]), state.holders(["k"])) == ({}, {})


def test_a_change_that_another_is_just_making_is_not_refused(
    store: RecordStore, state: RemoteState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the other's change the record was read, and its note was not, as it was not there yet."""
    change = Change(id="c", records=[Put(kind="run", key="1", value="a", expected=0)])
    first = state.apply([change])[0].or_raise()
    make, asked = store.change, list[Things]()

    def half(names: Names, decide: Callable[[Things], Things]) -> None:
        def late(seen: Things) -> Things:
            asked.append(seen)
            return decide(Things(seen.records) if len(asked) == 1 else seen)

        make(names, late)

    class Hurried(ManualClock):
        def wait(self, condition: Condition, timeout: float | None) -> bool:
            return False

    monkeypatch.setattr(store, "change", half)
    (again,) = RemoteState(store, Hurried(1000.0), Random(8)).apply([change])
    assert (again.or_raise().repeated, again.versions) == (True, first.versions)
    other = Change(id="other", records=change.records)
    assert isinstance(state.apply([other])[0].refused, VersionConflict)


def test_a_note_that_is_not_ours_is_an_error(store: RecordStore, state: RemoteState) -> None:
    note = Note('{"versions": "all"}', 2000.0)
    store.change(Names(changes=["c"]), lambda _: Things(changes={"c": note}))
    with pytest.raises(BrokerUnavailable, match="what change 'c' was answered is not ours"):
        state.apply([Change(id="c", keys=[Take("k", "me")])])
    assert state.holders(["k"]) == {}


# ---- waiting ------------------------------------------------------------------------------------
class Counted:
    """How often a place is read."""

    def __init__(self, store: RecordStore) -> None:
        self.looks = 0
        self._read = store.read

    def read(self, names: Names) -> Things:
        self.looks += 1
        return self._read(names)


def test_who_waits_looks_once_a_second_in_the_end_and_sees_other_hosts(
    place: Place, store: RecordStore, manual: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted(store)
    monkeypatch.setattr(store, "read", counted.read)
    state = RemoteState(store, manual, Random(7))
    other = RemoteState(place.open(manual), manual, Random(8))
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(state.wait_record, "run", "1", 0, 3600.0)
        for _ in range(60):
            manual.wait_until_parked()
            manual.advance(1.0)
        manual.wait_until_parked()
        assert 50 <= counted.looks <= 61
        other.apply([Change(records=[Put(kind="run", key="1", value="a", rings=True)])])
        manual.advance(1.0)
        found = waiting.result(10)
    assert found is not None
    assert found.value == "a"


def test_the_first_looks_come_soon(store: RecordStore, manual: ManualClock) -> None:
    state = RemoteState(store, manual, Random(7))
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(state.wait_record, "run", "1", 0, 0.12)
        for _ in range(2):
            manual.wait_until_parked()
            manual.advance(0.05)
        manual.wait_until_parked()
        manual.advance(0.05)
        assert waiting.result(10) is None


# ---- expiry -------------------------------------------------------------------------------------
def test_what_has_expired_is_not_there_before_it_is_removed(
    state: RemoteState, manual: ManualClock
) -> None:
    records = [
        Put(kind="run", key=str(n), value="", expires_at=1010.0, state="x", due_at=1.0, parent="p")
        for n in range(5)
    ]
    state.apply([Change(id="c", remembered=10, records=records, keys=[Take("k", "me", 1010.0)])])
    assert state.was_applied("c")
    manual.advance(10)
    assert state.records("run", list("01234")) == {}
    for query in (
        QUERY,
        RecordQuery(kind="run", order="due"),
        RecordQuery(kind="run", parent="p"),
    ):
        assert state.list_records(query).records == []
    assert (state.count_records("run"), state.holders(["k"])) == ({}, {})
    assert not state.was_applied("c")
    assert not state.apply([Change(id="c", keys=[Take("k", "me")])])[0].or_raise().repeated


def test_upkeep_looks_once_a_minute(
    store: RecordStore, manual: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[float, int]] = []
    left = [5, 5, 2, 0]

    def expire(now: float, limit: int) -> int:
        asked.append((now, limit))
        return left.pop(0)

    monkeypatch.setattr(store, "expire", expire)
    state = RemoteState(store, manual, Random(7))
    assert not state.upkeep(5)
    manual.advance(SWEEP)
    assert [state.upkeep(5) for _ in range(4)] == [True, True, False, False]
    assert asked == [(1060.0, 5)] * 3
    manual.advance(SWEEP)
    assert not state.upkeep(5)
    assert len(asked) == 4
