"""Many messages that are nothing but an id and a body are stored as those are that have more."""

from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskflow.broker import QueueSettings
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.message import Message
from taskflow.stores.sqlite import insertion
from taskflow.stores.sqlite.plain_batch import is_plain
from taskflow.stores.sqlite.store import SqliteStore
from taskflow.testing import ManualClock

TABLES = ("message", "body", "shared")
MORE: list[dict[str, Any]] = [
    {"delay": 5.0},
    {"attributes": {"a": "b"}},
    {"group": "g"},
    {"priority": "high"},
    {"slot": "limit"},
    {"headers": {"a": "b"}},
    {"run": "r"},
    {"expires_at": 1.0},
    {"trace": "t"},
    {"sender": "s"},
]
batches = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 2, 9, 10, 11, 49, 50, 51, 61]),  # how many
        st.sampled_from([0, 5, 40]),  # the number of the first id
        st.none() | st.sampled_from(range(len(MORE))),  # what the last one has besides
        st.sampled_from([0.0, 1.0, 2e6]),  # seconds until the next
    ),
    max_size=3,
)


def stored(
    chosen: list[tuple[int, int, int | None, float]], delay: float, others: tuple[str, ...]
) -> list[Any]:
    """What is in the tables after all that was published, and what was answered."""
    clock = ManualClock()
    store = SqliteStore(None, durable=False)
    with closing(StoredBroker(store, clock=clock)) as broker:
        broker.create_queue("work", QueueSettings(delay=delay))
        broker.create_topic("made")
        broker.subscribe("made", "work")
        for other in others:
            broker.create_queue(other)
            broker.subscribe("made", other)
        told: list[Any] = []
        for count, first, more, seconds in chosen:
            some = [Message(str(n), f"ü {n}") for n in range(first, first + count)]
            if more is not None:
                some.append(Message("last", "x", **MORE[more]))
            told.append(broker.publish("made", some))
            told.append(broker.send("work", some[:7]))
            clock.advance(seconds)
        connection = store._database.connection
        rows = [list(connection.execute(f"SELECT * FROM {table}")) for table in TABLES]
        return [*rows, told]


@settings(deadline=None)
@given(batches, st.sampled_from([0.0, 7.0]), st.sampled_from([(), ("more",), ("more", "most")]))
def test_they_are_stored_alike(
    chosen: list[tuple[int, int, int | None, float]], delay: float, others: tuple[str, ...]
) -> None:
    found = stored(chosen, delay, others)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(insertion, "is_plain", lambda message: False)
        assert found == stored(chosen, delay, others)


@pytest.mark.parametrize("more", MORE)
def test_what_has_more_is_not_plain(more: dict[str, Any]) -> None:
    assert is_plain(Message("1", "x"))
    assert not is_plain(Message("1", "x", **more))
