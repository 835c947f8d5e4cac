"""Records in Redis: bounded removal, indexes, and what is not ours.

Redis is a fake in this process, or the one that TASKFLOW_TEST_REDIS names.
"""

import socket
from collections.abc import Iterator
from random import Random

import pytest

from taskflow.broker.change import Add, Change, Put, Remove, Take
from taskflow.broker.record import RecordQuery
from taskflow.brokers.aws.remote_state import RemoteState
from taskflow.coordination import redis_record_store
from taskflow.coordination.record_store import Contended, Names, Things
from taskflow.coordination.redis_record_store import RedisRecordStore, open_redis
from taskflow.errors import BrokerUnavailable, ConfigError
from taskflow.testing import ManualClock
from tests.taskflow.aws.states.places import redis_place


@pytest.fixture
def manual() -> ManualClock:
    return ManualClock(1000.0)


@pytest.fixture
def store(manual: ManualClock) -> Iterator[RedisRecordStore]:
    with redis_place() as place:
        opened = place.open(manual)
        assert isinstance(opened, RedisRecordStore)
        yield opened


@pytest.fixture
def state(store: RedisRecordStore, manual: ManualClock) -> RemoteState:
    return RemoteState(store, manual, Random(7))


def keys(store: RedisRecordStore) -> set[str]:
    """All keys there are, without what stands before each."""
    return {str(one).removeprefix("taskflow:") for one in store._client.scan_iter()}


def put(key: str, **more: float | str) -> Put:
    return Put(kind="run", key=key, value="", parent="p", label="l", state="s", **more)  # type: ignore[arg-type]


def test_a_record_that_goes_leaves_nothing_behind(
    store: RedisRecordStore, state: RemoteState
) -> None:
    state.apply([Change(records=[put("1", due_at=5.0, expires_at=2000.0)])])
    assert len(keys(store)) == 7
    state.apply([Change(records=[Put(kind="run", key="1", value="")])])
    assert keys(store) == {"record:3:run:1", "listed:3:run:"}
    state.apply([Change(records=[Remove("run", "1")])])
    assert keys(store) == set()


def test_what_has_expired_is_removed_some_at_a_time(
    store: RedisRecordStore, state: RemoteState
) -> None:
    for n in range(3):
        change = Change(
            id=str(n),
            remembered=10,
            records=[put(str(n), expires_at=1010.0 + n, due_at=5.0)],
            keys=[Take(str(n), "me", 1010.0)],
        )
        state.apply([change])
    state.apply([Change(records=[Put(kind="run", key="kept", value="")], keys=[Take("k", "me")])])
    assert store.expire(1009.0, 100) == 0
    assert [store.expire(1012.0, 4) for _ in range(4)] == [4, 4, 1, 0]
    assert keys(store) == {"record:3:run:kept", "listed:3:run:", "key:k"}


def test_what_was_put_anew_before_it_was_removed_stays(
    store: RedisRecordStore, state: RemoteState, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.apply([Change(records=[put("1", expires_at=1010.0)])])
    get = store._get

    def meanwhile(names: list[str]) -> dict[str, str]:
        found = get(names)
        monkeypatch.undo()
        state.apply([Change(records=[put("1", expires_at=3000.0)])])
        return found

    monkeypatch.setattr(store, "_get", meanwhile)
    assert store.expire(1010.0, 10) == 0
    assert set(state.records("run", ["1"])) == {"1"}
    assert store.expire(3000.0, 10) == 1


def test_what_changed_since_it_was_read_is_not_written(
    store: RedisRecordStore, state: RemoteState
) -> None:
    state.apply([Change(records=[put("1")])])

    def decide(seen: Things) -> Things:
        state.apply([Change(counters=[Add("run", "1", 1)])])
        return Things(records={("run", "1"): None})

    with pytest.raises(Contended):
        store.change(Names([("run", "1")]), decide)
    assert state.records("run", ["1"])["1"].count == 1


def test_a_list_is_read_some_at_a_time(state: RemoteState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_record_store, "_FEWEST", 2)
    monkeypatch.setattr(redis_record_store, "_READ", 2)
    for n in range(7):
        state.apply([Change(records=[Put(kind="run", key=str(n), value="", label="ab"[n % 2])])])
    for order, expected in (("oldest", "0246"), ("newest", "6420")):
        query = RecordQuery(kind="run", label="a", order=order)  # type: ignore[arg-type]
        assert [one.key for one in state.list_records(query).records] == list(expected)
    assert state.count_records("run") == {}


def test_what_is_not_ours_is_not_taken_for_a_record(
    store: RedisRecordStore, state: RemoteState
) -> None:
    store._client.set("taskflow:record:3:run:1", '{"record": 1}')
    with pytest.raises(BrokerUnavailable, match="something else under 'taskflow:record:3:run:1'"):
        state.records("run", ["1"])


def test_a_redis_that_is_not_there_is_named_without_its_password(manual: ManualClock) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        store = open_redis(f"redis://me:secret@127.0.0.1:{port}/0")
        with pytest.raises(BrokerUnavailable, match=f"redis: .*127.0.0.1:{port}") as caught:
            RemoteState(store, manual, Random(7)).records("run", ["1"])
    assert "secret" not in str(caught.value)
    store.close()


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="write redis://user:password@host:6379/0") as caught:
        open_redis("redis://me:secret@host:port/0")
    assert "secret" not in str(caught.value)
