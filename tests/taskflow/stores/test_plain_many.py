"""Batches of plain events: what the plain way stores of them is what the general way stores."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskflow import Broker, publish_many
from taskflow.broker import QueueSettings
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.errors import LimitExceeded, TaskflowError
from taskflow.event import Event
from taskflow.publisher import EventId
from taskflow.stores.sqlite import plain_events
from taskflow.stores.sqlite.plain_way import SqlitePlainWay
from taskflow.stores.sqlite.store import SqliteStore
from tests.taskflow.stores.test_plain_way import (
    Made,
    Point,
    in_a_handler,
    in_a_task,
    in_a_transaction,
    payloads,
    traced,
)

PARENT = f"00-{'a' * 32}-{'b' * 16}-01"
Step = Callable[["Many"], Any]


class Many(Made):
    """As `Made`, of batches."""

    def __init__(self, path: Path | None = None, *, plain: bool = True, **named: Any) -> None:
        super().__init__(path, plain=plain, **named)
        self.number = 0
        assert isinstance(self.way, SqlitePlainWay)
        if plain:
            take = self.way.publish_many

            def noted(topic: str, events: Sequence[Event[Any]], most: int) -> bool:
                self.taken.append(take(topic, events, most))
                return self.taken[-1]

            self.way.publish_many = noted  # type: ignore[method-assign]

    def event(self, payload: Any, **named: Any) -> Event[Any]:
        self.number += 1
        time = self.clock.now() + self.number / 7
        given: dict[str, Any] = {"topic": "made", "id": f"{self.number}", "time": time} | named
        return Event(payload=payload, **given)

    def many(self, *events: Event[Any]) -> list[EventId]:
        return publish_many(events, broker=cast(Broker, self.broker))


@pytest.fixture
def made() -> Iterator[Many]:
    made = Many()
    made.warm()
    yield made
    made.broker.close()


@pytest.fixture
def general() -> Iterator[Many]:
    made = Many(plain=False)
    made.warm()
    yield made
    made.broker.close()


# ---- the same ------------------------------------------------------------------------------------
lines = st.sampled_from(
    ["a", "b" * 300, "ü", 'say "x"', "back\\slash", "", "\n", "\x7f", "c" * 1025]
)
extras = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["1", "2", "3"]) | lines,
        "topic": st.sampled_from(["made", "sold", "made.fifo", "nobody's"]),
        "traceparent": st.none() | st.just(PARENT) | lines,
        "source": lines | st.just(cast(Any, 1)),
        "subject": st.none() | lines,
        "correlation_id": st.none() | lines,
        "causation_id": st.none() | lines,
        "attributes": st.sampled_from([{}, {"a": "b"}]),
        "group": st.sampled_from([None, "g"]),
        "time": st.sampled_from([0.0, -1.5, 1e30, float("nan")]),
    },
)
ordinary = st.tuples(payloads, st.just({"traceparent": PARENT}))
sizes = st.sampled_from([1, 2, 9, 11, 51])


def end_all(made: Many) -> None:
    for one in made.broker.subscriptions("made"):
        made.broker.unsubscribe(one.id)


def send(made: Many, count: int, some: list[tuple[Any, dict[str, Any]]]) -> list[EventId]:
    more = [made.event(payload, **named) for payload, named in some]
    return made.many(*[made.event(number) for number in range(count)], *more)


def steps() -> st.SearchStrategy[Step]:
    def step(call: Callable[..., Any], *args: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
        return st.tuples(*args).map(lambda values: lambda made: call(made, *values))

    limits = st.builds(
        QueueSettings,
        delay=st.sampled_from([0.0, 7.0]),
        max_message_bytes=st.sampled_from([1024, 2**20]),
    )
    some = st.lists(ordinary, max_size=2) | st.lists(st.tuples(payloads, extras), max_size=2)
    batch = step(send, sizes, some)
    queues = st.sampled_from(["work", "other"])
    return st.one_of(
        *([batch] * 4),
        step(lambda made, n: [made.publish(i) for i in range(n)], st.integers(60, 70)),
        step(lambda made, s: made.clock.advance(s), st.sampled_from([0.001, 2e6])),
        step(lambda made: made.clock.set(made.clock.now() - 3)),
        step(lambda made: made.broker.create_topic("sold")),
        step(lambda made, name: made.broker.subscribe("made", name), queues),
        step(lambda made, found: made.broker.set_queue("work", found), limits),
        step(end_all),
        step(lambda made: made.broker.delete_queue("work")),
        step(lambda made: made.broker.create_queue("work")),
        step(lambda made: len(made.broker.receive("work", limit=5))),
        step(lambda made: made.broker.purge("work")),
    )


@settings(deadline=None)
@given(st.lists(steps(), max_size=10))
def test_both_ways_store_the_same_and_raise_the_same(chosen: list[Step]) -> None:
    def play(made: Many) -> list[Any]:
        told: list[Any] = []
        for step in chosen:
            try:
                told.append(step(made))
            except (TaskflowError, TypeError, ValueError, OverflowError) as error:
                told.append((type(error), str(error)))
        with closing(made.broker):
            reached = [
                [getattr(id, "reached", 0) for id in one] for one in told if type(one) is list
            ]
            return [*made.rows(), told, reached]

    assert play(Many()) == play(Many(plain=False))


class Shown(msgspec.Struct):
    """With a value that is null."""

    name: str | None = None


@pytest.mark.parametrize("count", [1, 2, 61])
@pytest.mark.parametrize("delay", [0.0, 7.0])
def test_events_that_are_nothing_but_a_payload_go_the_plain_way(
    made: Many, general: Many, count: int, delay: float
) -> None:
    values = [None, Shown(), "null", {"n": ["ü\U0001f600\ufffe"]}, Point(1, ["\x7f\0", "a\nb"]), 1]
    raw = msgspec.Raw(b"[1,\n 2]")
    for one in (made, general):
        one.broker.set_queue("work", QueueSettings(delay=delay))
        one.warm()
        for some in (values, [1], [raw, "x"]):
            events = [one.event(n, traceparent=PARENT) for n in range(count)]
            events += [one.event(value, source="shop") for value in some]
            assert [id.reached for id in one.many(*events)] == [1] * len(events)
            one.clock.advance(1)
    assert made.taken == [True] * 3
    assert made.rows() == general.rows()


def test_a_long_batch_is_written_part_by_part_and_stored_as_one(
    made: Many, general: Many, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain_events, "_PART", 3)
    for one in (made, general):
        one.many(*[one.event({"n": n, "x": "ü" * (n % 2)}) for n in range(8)])
        with pytest.raises(LimitExceeded):
            one.many(*[one.event("x" * (2**20 * (n == 7))) for n in range(8)])
    assert made.taken == [True, False]
    assert made.rows() == general.rows()


def test_who_waits_is_told_and_the_disk_is_waited_for(made: Many) -> None:
    told: list[Any] = []
    made.broker.watch(lambda queues: told.append(list(queues)))
    made.store.sync = lambda everybodys=False: told.append("disk")  # type: ignore[method-assign]
    made.many(made.event(1), made.event(2))
    assert made.taken == [True]
    assert told == [["work"], "disk"]


def test_it_counts_as_one_send_until_the_next_housekeeping(made: Many, general: Many) -> None:
    """What is past its retention goes at the same send by both ways."""
    for one in (made, general):
        one.clock.advance(one.broker.settings("work").retention)
        for number in range(64):
            one.many(one.event(number), one.event(number))
    assert made.taken.count(False) == 1
    assert made.rows() == general.rows()


# ---- declined ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "more",
    [
        {"subject": "s"},
        {"correlation_id": "c"},
        {"causation_id": "c"},
        {"attributes": {"a": "b"}},
        {"group": "g"},
        {"id": 'say "x"'},
        {"id": "ü"},
        {"id": EventId("of another", 1)},
        {"source": "back\\slash"},
        {"source": "x" * 300},
        {"traceparent": "ü"},
    ],
)
def test_what_has_more_than_a_payload_goes_the_general_way(
    made: Many, general: Many, more: dict[str, Any]
) -> None:
    for one in (made, general):
        one.many(one.event(1), one.event(2, **more), one.event(3))
    assert made.taken == [False]
    assert made.rows() == general.rows()
    assert len(made.bodies()) == 4


def test_an_event_of_a_class_of_its_own_goes_the_general_way(made: Many) -> None:
    class Loud(Event[Any], frozen=True):
        def message(self, delay: float = 0.0, most: int = 2**20) -> Any:
            made = super().message(delay, most)
            return msgspec.structs.replace(made, body=made.body.upper())

    made.many(Loud(topic="made", payload=1, id="loud", time=0.0))
    assert made.taken == [False]
    assert '"ID":"LOUD"' in made.bodies()[-1]


def test_a_topic_that_is_no_text_of_its_own_goes_the_general_way(made: Many, general: Many) -> None:
    class Topic(str):
        def __str__(self) -> str:
            return "another"

    for one in (made, general):
        one.many(one.event(1), one.event(2, topic=Topic("made")))
    assert made.taken == [False]
    assert made.rows() == general.rows()


def test_a_second_event_of_an_id_is_none_and_the_others_are_stored(
    made: Many, general: Many
) -> None:
    for one in (made, general):
        one.many(one.event(1, id="a"), one.event(2, id="b"))
        one.many(one.event(3, id="c"), one.event(4, id="a"), one.event(5, id="c"))
    assert made.taken == [True, False]
    assert made.rows() == general.rows()
    assert [body[-2:] for body in made.bodies()[1:]] == ["1}", "2}", "3}"]


def test_of_a_batch_that_is_refused_nothing_is_stored(made: Many) -> None:
    made.broker.set_queue("work", QueueSettings(max_message_bytes=1024))
    made.warm()
    for payload, error in (
        ("x" * 1024, LimitExceeded),
        ("ü" * 512, LimitExceeded),
        ({"raw": msgspec.Raw(b'"\x0b"')}, LimitExceeded),
        (float("inf"), ValueError),
        (object(), TypeError),
    ):
        with pytest.raises(error):
            made.many(made.event(1), made.event(payload))
    assert made.taken == [False] * 5
    assert made.broker.waiting("work", 10) == 2


@pytest.mark.parametrize("name", ["id", "source", "traceparent"])
@pytest.mark.parametrize("line", ["", "\n", "\x7f", "x" * 1025])
def test_a_line_that_is_none_is_refused_as_ever(made: Many, name: str, line: str) -> None:
    with pytest.raises(ValueError, match=r"is empty|characters"):
        made.many(made.event(1), made.event(2, **{name: line}))
    assert made.taken == [False]
    assert made.broker.waiting("work", 10) == 1


@pytest.mark.parametrize("where", [in_a_handler, in_a_task, traced, in_a_transaction])
def test_from_anywhere_each_is_stored_once(made: Many, where: Any) -> None:
    with where(made):
        made.many(made.event("there"), made.event("too"))
    assert len(made.bodies()) == 3
    asked = where in (in_a_handler, in_a_transaction)
    assert made.taken == [True] * asked


@pytest.mark.parametrize("held", [False, True], ids=["stored", "declined"])
def test_within_a_transaction_of_the_thread_it_is_a_part_of_that(made: Many, held: bool) -> None:
    if held:
        made.many(made.event(0, id="a"))
        made.taken.clear()
    before = made.rows()

    def work(rows: Any) -> None:
        made.many(made.event(1, id="a"), made.event(2))
        assert made.rows() != before
        raise KeyError

    with pytest.raises(KeyError):
        made.store.transact(work)
    assert made.taken == [not held]
    assert made.rows() == before


# ---- another's changes, another file -------------------------------------------------------------
@pytest.mark.parametrize("durable", [True, False], ids=["power", "process"])
def test_what_others_declare_is_seen_at_once(tmp_path: Path, durable: bool) -> None:
    made = Many(tmp_path / "broker.db", durable=durable)
    made.warm()
    with closing(StoredBroker(SqliteStore(tmp_path / "broker.db", durable=False))) as other:
        made.many(made.event(1), made.event(2))
        (one,) = other.subscriptions("made")
        other.unsubscribe(one.id)
        assert [id.reached for id in made.many(made.event("nobody's"))] == [0]
        other.subscribe("made", "other")
        made.many(made.event(3), made.event(4))
        made.many(made.event(5))
    assert made.taken == [True, False, False, True]
    assert (made.broker.waiting("work", 10), made.broker.waiting("other", 10)) == (3, 3)
    made.broker.close()


@pytest.mark.parametrize("durable", [True, False], ids=["power", "process"])
def test_what_goes_into_a_file_that_was_replaced_is_published_anew(
    tmp_path: Path, durable: bool
) -> None:
    path = tmp_path / "broker.db"
    made = Many(path, durable=durable)
    made.warm()
    with closing(Many(tmp_path / "new.db").broker):
        pass
    for end in ("", "-wal", "-shm"):
        Path(f"{path}{end}").unlink()
    (tmp_path / "new.db").rename(path)
    made.many(made.event("saved"), made.event("saved"))
    made.many(made.event("later"))
    assert made.taken == [False, True]
    assert ["saved" in body or "later" in body for body in made.bodies()] == [True] * 3
    made.broker.close()
