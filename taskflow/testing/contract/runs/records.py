"""Records: listed by page and filter, counted, and waited for."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec.structs import replace

from taskflow.broker import Broker
from taskflow.broker.change import Change, Put, Remove
from taskflow.broker.record import Record, RecordQuery
from taskflow.errors import LimitExceeded
from taskflow.testing import ManualClock
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.fixtures import *

NEEDS = ("runs",)


@pytest.fixture
def filled(broker: Broker, clock: ManualClock) -> Broker:
    """Twelve runs, one a second: of two tasks, in two states, the even ones children of `p`."""
    for n in range(12):
        put = Put(
            kind="run",
            key=f"{n:02}",
            value=str(n),
            label="add" if n % 3 else "mail",
            state="done" if n < 8 else "waiting",
            parent=None if n % 2 else "p",
            due_at=5000.0 - n if n > 5 else None,
        )
        broker.apply([Change(records=[put])])
        clock.advance(1)
    broker.apply([Change(records=[Put(kind="other", key="x", value="", label="add")])])
    return broker


def keys(broker: Broker, query: RecordQuery) -> list[str]:
    """All that it finds, by pages."""
    found: list[Record] = []
    after = None
    while True:
        page = broker.list_records(replace(query, after=after))
        found += page.records
        if page.next is None:
            return [one.key for one in found]
        after = page.next


ALL = [f"{n:02}" for n in range(12)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (RecordQuery(kind="run"), ALL[::-1]),
        (RecordQuery(kind="run", order="oldest"), ALL),
        (RecordQuery(kind="run", order="oldest", label="mail"), ["00", "03", "06", "09"]),
        (RecordQuery(kind="run", order="oldest", states=["waiting"]), ALL[8:]),
        (RecordQuery(kind="run", order="oldest", states=["waiting", "done"]), ALL),
        (RecordQuery(kind="run", order="oldest", label="mail", states={"waiting"}), ["09"]),
        (RecordQuery(kind="run", order="oldest", parent="p"), ALL[::2]),
        (RecordQuery(kind="run", order="due"), ALL[:5:-1]),
        (RecordQuery(kind="run", order="due", due_by=4991.0), ["11", "10", "09"]),
        (
            RecordQuery(kind="run", order="oldest", created_from=1003.0, created_before=1005.0),
            ["03", "04"],
        ),
        (RecordQuery(kind="none"), []),
    ],
)
@pytest.mark.parametrize("limit", [1, 4, 1000])
def test_records_are_found_page_by_page(
    filled: Broker, query: RecordQuery, expected: list[str], limit: int
) -> None:
    assert keys(filled, replace(query, limit=limit)) == expected


def test_records_are_counted_by_state(filled: Broker) -> None:
    assert filled.count_records("run") == {"done": 8, "waiting": 4}
    assert filled.count_records("run", "mail") == {"done": 3, "waiting": 1}
    assert filled.count_records("none") == {}


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_page_has_bounds(broker: Broker, limit: int) -> None:
    with pytest.raises(LimitExceeded, match=f"limit is {limit} records; 1 to 1000"):
        broker.list_records(RecordQuery(kind="run", limit=limit))


@pytest.mark.parametrize("after", ["", "x", "1", "a/b"])
def test_a_place_is_that_of_a_page(broker: Broker, after: str) -> None:
    with pytest.raises(LimitExceeded, match="the `next` of a page is wanted"):
        broker.list_records(RecordQuery(kind="run", after=after))


# ---- waiting ------------------------------------------------------------------------------------
def test_who_waits_for_a_record_is_woken(broker: Broker, clock: ManualClock) -> None:
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(broker.wait_record, "run", "1", 0, 60.0)
        clock.wait_until_parked()
        broker.apply([Change(records=[Put(kind="run", key="1", value="a", rings=True)])])
        found = waiting.result(10)
        assert found is not None
        assert found.value == "a"
        changed = pool.submit(broker.wait_record, "run", "1", found.version, 60.0)
        clock.wait_until_parked()
        broker.apply([Change(records=[Put(kind="run", key="1", value="b", rings=True)])])
        found = changed.result(10)
        assert found is not None
        assert found.value == "b"
        removed = pool.submit(broker.wait_record, "run", "1", found.version, 60.0)
        clock.wait_until_parked()
        broker.apply([Change(records=[Remove("run", "1")])])
        assert removed.result(10) is None


def test_several_records_are_waited_for_at_once(broker: Broker, clock: ManualClock) -> None:
    put = Change(records=[Put(kind="run", key=key, value="a") for key in "12"])
    first, second = broker.apply([put])[0].versions
    seen = {"1": first, "2": second, "3": 0}
    assert broker.wait_records("run", seen, 0.0) == {}
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(broker.wait_records, "run", seen, 60.0)
        clock.wait_until_parked()
        broker.apply([Change(records=[Put(kind="run", key="2", value="b", rings=True)])])
        changed = waiting.result(10)
        assert {key: found and found.value for key, found in changed.items()} == {"2": "b"}
        waiting = pool.submit(broker.wait_records, "run", {"1": first, "3": 0}, 60.0)
        clock.wait_until_parked()
        broker.apply([Change(records=[Remove("run", "1")])])
        assert waiting.result(10) == {"1": None}


def test_waiting_ends_with_its_time(broker: Broker, clock: ManualClock) -> None:
    assert broker.wait_record("run", "1", 0, 0.0) is None
    broker.apply([Change(records=[Put(kind="run", key="1", value="a")])])
    found = broker.wait_record("run", "1", 0, 60.0)  # it is there
    assert found is not None
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(broker.wait_record, "run", "1", found.version, 60.0)
        clock.wait_until_parked()
        clock.advance(61)
        assert waiting.result(10) == found


def test_waiting_can_be_stopped(broker: Broker, clock: ManualClock) -> None:
    stopped = threading.Event()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(broker.wait_record, "run", "1", 0, 60.0, stopped.is_set)
        clock.wait_until_parked()
        stopped.set()
        broker.wake()
        assert waiting.result(10) is None


__all__ = collected(globals(), NEEDS)
