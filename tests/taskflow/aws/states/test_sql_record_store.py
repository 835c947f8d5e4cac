"""Records in a SQL database: bounded removal, what cannot be kept, and who is in whose way.

The database is SQLite, or the one whose address TASKFLOW_TEST_SQL names.
"""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from taskflow.broker.change import Change, Put, Take
from taskflow.brokers.aws.remote_state import RemoteState
from taskflow.coordination.record_store import Contended, Names, Things
from taskflow.coordination.sql_database import open_sql_database
from taskflow.coordination.sql_record_store import SqlRecordStore
from taskflow.coordination.sql_record_tables import CHANGES, KEYS, RECORD_TABLES, RECORDS, id_of
from taskflow.errors import BrokerUnavailable, LimitExceeded
from taskflow.testing import ManualClock
from tests.taskflow.aws.states.places import sql_place


@pytest.fixture
def manual() -> ManualClock:
    return ManualClock(1000.0)


@pytest.fixture
def store(tmp_path: Path, manual: ManualClock) -> Iterator[SqlRecordStore]:
    with sql_place(tmp_path) as place:
        opened = place.open(manual)
        assert isinstance(opened, SqlRecordStore)
        yield opened


@pytest.fixture
def state(store: SqlRecordStore, manual: ManualClock) -> RemoteState:
    return RemoteState(store, manual, Random(7))


def rows(store: SqlRecordStore) -> list[int]:
    """How many there are of each table."""
    with store._database.connect() as connection:
        return [
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (RECORDS, KEYS, CHANGES)
        ]


def test_what_has_expired_is_removed_some_at_a_time(
    store: SqlRecordStore, state: RemoteState
) -> None:
    for n in range(5):
        put = Put(kind="run", key=str(n), value="", expires_at=1010.0)
        state.apply(
            [Change(id=str(n), remembered=10, records=[put], keys=[Take(str(n), "me", 1010.0)])]
        )
    kept = Put(kind="run", key="kept", value="", expires_at=2000.0)
    good = [kept, Put(kind="run", key="for good", value="")]
    state.apply([Change(id="kept", remembered=99, records=good, keys=[Take("for good", "me")])])
    assert store.expire(1009.9, 100) == 0
    assert (store.expire(1010.0, 2), rows(store)) == (6, [5, 4, 4])
    assert (store.expire(1010.0, 100), rows(store)) == (9, [2, 1, 1])
    assert set(state.records("run", ["kept", "for good"])) == {"kept", "for good"}


def test_another_row_of_that_name_was_faster(store: SqlRecordStore, state: RemoteState) -> None:
    names = Names([("run", "1")], ["k"])

    def decide(_: Things) -> Things:
        raise Contended

    with pytest.raises(Contended):
        store.change(names, decide)
    put = Put(kind="run", key="1", value="a")
    state.apply([Change(records=[put])])
    seen = store.read(names)
    kept = seen.records["run", "1"]
    assert kept is not None
    state.apply([Change(records=[put])])
    with pytest.raises(Contended):  # it looked before, when there was none
        _write_as_seen(store, Things(), Things(records={("run", "1"): kept}))
    with pytest.raises(Contended):  # it was in another version
        _write_as_seen(store, seen, Things(records={("run", "1"): kept}))
    assert state.records("run", ["1"])["1"].version == kept.record.version + 1


def _write_as_seen(store: SqlRecordStore, seen: Things, things: Things) -> None:
    """A change that read what it was going to write before anything was locked."""

    def decide(found: Things) -> Things:
        found.records, found.keys, found.changes = seen.records, seen.keys, seen.changes
        return things

    store.change(Names(), decide)


@pytest.mark.parametrize(
    ("answer", "contended"),
    [
        ("database is locked", True),
        ("40P01", True),
        ("40001", True),
        (1213, True),
        ("57P01", False),
        ("the disk is full", False),
    ],
)
def test_who_was_in_anothers_way_tries_again(
    store: SqlRecordStore, answer: str | int, contended: bool
) -> None:
    class Driver(Exception):
        sqlstate = answer

    def decide(_: Things) -> Things:
        raise OperationalError("UPDATE", {}, Driver(answer))

    with pytest.raises(Contended if contended else BrokerUnavailable):
        store.change(Names(), decide)


def test_a_database_that_is_not_there_is_named_without_its_password(
    tmp_path: Path, manual: ManualClock
) -> None:
    url = f"sqlite+pysqlite:///{tmp_path}/missing/state.db"
    store = SqlRecordStore(open_sql_database(url, RECORD_TABLES, "state"))
    with pytest.raises(BrokerUnavailable, match=r"missing/state\.db: unable to open"):
        RemoteState(store, manual, Random(7)).records("run", ["1"])


def test_what_the_database_cannot_keep_is_refused(
    store: SqlRecordStore, state: RemoteState
) -> None:
    """PostgreSQL keeps no NUL in a text; SQLite does."""
    put = Put(kind="run", key="a\0b", value="x")
    good = Put(kind="run", key="good", value="x")
    refused, made = state.apply([Change(records=[put]), Change(records=[good])])
    if store._database._engine.dialect.name == "postgresql":
        assert isinstance(refused.refused, LimitExceeded)
    else:
        assert state.records("run", ["a\0b"])["a\0b"].value == "x"
    assert made.refused is None


def test_names_that_look_alike_are_others() -> None:
    names = [("a", "bc"), ("ab", "c"), ("abc",), ("a", "b", "c"), ("1:a",), ("", "abc")]
    assert len({id_of(*one) for one in names}) == len(names)
