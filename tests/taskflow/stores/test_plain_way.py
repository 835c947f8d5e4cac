"""The plain way of a publish stores what the general way stores, and knows what it must decline."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, cast

import apsw
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskflow import Broker, publish
from taskflow.broker import QueueSettings
from taskflow.broker.settings import TopicSubscription
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.brokers.stored.publish import Publisher
from taskflow.errors import BrokerFileError, FileReplaced, LimitExceeded, TaskflowError
from taskflow.event import Event, current
from taskflow.outgoing import Outgoing, outgoing
from taskflow.publisher import EventId, using
from taskflow.sealing.sealed_broker import SealedBroker
from taskflow.stores.sqlite.doorbell import Doorbell
from taskflow.stores.sqlite.plain_way import SqlitePlainWay
from taskflow.stores.sqlite.store import SqliteStore
from taskflow.telemetry.tracing import trace_with
from taskflow.testing import FaultBroker, ManualClock
from taskflow.testing.simulation.simulated_broker import SimulatedBroker


class Numbered(Random):
    """Answers the same within one publish, however often it is asked: ids are injected."""

    number = 1

    def getrandbits(self, k: int) -> int:
        return self.number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << k)


class Made:
    """A broker whose clock stands still, two queues, and a topic for the first of them; what the
    plain way was asked, and whether it did it."""

    def __init__(
        self, path: Path | None = None, *, plain: bool = True, durable: bool | None = None
    ) -> None:
        self.clock = ManualClock()
        if durable is None:
            durable = path is not None
        self.store = SqliteStore(path, durable=durable)
        self.random = Numbered()
        self.broker = StoredBroker(self.store, clock=self.clock, random=self.random)
        self.taken: list[bool] = []
        publisher = cast(Publisher, cast(Any, self.broker.publish).__self__)
        self.way = publisher.plain
        assert isinstance(self.way, SqlitePlainWay)
        if plain:
            take = self.way.publish

            def noted(topic: str, payload: Any, most: int) -> str | None:
                done = take(topic, payload, most)
                self.taken.append(done is not None)
                return done

            self.way.publish = noted  # type: ignore[assignment,method-assign]
        else:
            publisher.plain = None
        for queue in ("work", "other"):
            if queue not in self.broker.queues():
                self.broker.create_queue(queue)
        self.broker.create_topic("made")
        self.broker.subscribe("made", "work")

    def publish(self, payload: Any, topic: str = "made", **named: Any) -> EventId:
        self.random.number += 1
        return publish(topic, payload, broker=cast(Broker, self.broker), **named)

    def warm(self) -> None:
        """The topic is known."""
        self.publish("the first goes the general way")
        self.taken.clear()

    def rows(self) -> list[list[Any]]:
        """All there is of messages, and what they are counted by."""
        self.store.look(lambda _: None)  # what arrived is taken over
        connection = self.store._database.connection
        tables = {"message": "queue, seq", "body": "seq", "shared": "seq", "queue": "id"}
        return [
            list(connection.execute(f"SELECT * FROM {table} ORDER BY {order}"))
            for table, order in tables.items()
        ]

    def bodies(self, queue: str = "work") -> list[str]:
        return [one.body for one in self.broker.peek(queue, limit=100)]


@pytest.fixture
def made() -> Iterator[Made]:
    made = Made()
    made.warm()
    yield made
    made.broker.close()


@dataclass
class Point:
    x: int
    names: list[str] = field(default_factory=list)


# ---- the same ------------------------------------------------------------------------------------
texts = st.text(max_size=20)
payloads = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | texts
    | st.builds(Point, st.integers(0, 9), st.lists(texts, max_size=2))
    | st.sampled_from(["x" * 900, "x" * 1500, object()]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
Step = Callable[[Made], Any]


def end_all(made: Made) -> None:
    for one in made.broker.subscriptions("made"):
        made.broker.unsubscribe(one.id)


def steps() -> st.SearchStrategy[Step]:
    def step(name: str, call: Callable[..., Any], *args: st.SearchStrategy[Any]) -> Any:
        def bind(values: tuple[Any, ...]) -> Step:
            def do(made: Made) -> Any:
                return call(made, *values)

            do.__name__ = do.__qualname__ = f"{name}{values}"
            return do

        return st.tuples(*args).map(bind)

    topics = st.sampled_from(["made", "sold", "made.fifo"])
    queues = st.sampled_from(["work", "other"])
    limits = st.builds(
        QueueSettings,
        delay=st.sampled_from([0.0, 7.0]),
        max_message_bytes=st.sampled_from([1024, 2**20]),
    )
    subscriptions = st.builds(
        lambda topic, queue, raw, policy: TopicSubscription(
            f"{topic}/{queue}", topic, "sqs", queue, raw, policy
        ),
        st.sampled_from(["made", "sold"]),
        queues,
        st.booleans(),
        st.sampled_from([None, '{"a": ["b"]}']),
    )
    publishing = step("publish", Made.publish, payloads, topics)
    return st.one_of(
        *([publishing] * 4),
        step("many", lambda made, n: [made.publish(i) for i in range(n)], st.integers(60, 70)),
        step("wait", lambda made, s: made.clock.advance(s), st.sampled_from([0.0, 0.001, 2e6])),
        step("back", lambda made: made.clock.set(made.clock.now() - 3)),
        step("topic", lambda made, name: made.broker.create_topic(name), st.just("sold")),
        step("set", lambda made, name, found: made.broker.set_queue(name, found), queues, limits),
        step("subscribe", lambda made, one: made.broker.put_subscription(one), subscriptions),
        step("end", end_all),
        step("pause", lambda made, name, on: made.broker.pause(name, on), queues, st.booleans()),
        step("drop", lambda made, name: made.broker.delete_queue(name), queues),
        step("queue", lambda made, name: made.broker.create_queue(name), queues),
        step("lend", lambda made, name: len(made.broker.receive(name, limit=2)), queues),
        step("purge", lambda made, name: made.broker.purge(name), queues),
    )


@settings(deadline=None)
@given(st.lists(steps(), max_size=12))
def test_both_ways_store_the_same_and_raise_the_same(chosen: list[Step]) -> None:
    def play(made: Made) -> list[Any]:
        told: list[Any] = []
        for step in chosen:
            try:
                told.append(step(made))
            except (TaskflowError, TypeError, ValueError) as error:
                told.append((type(error), str(error)))
        with closing(made.broker):
            return [*made.rows(), told, [getattr(one, "reached", None) for one in told]]

    assert play(Made()) == play(Made(plain=False))


@pytest.mark.parametrize("delay", [0.0, 7.0])
@pytest.mark.parametrize(
    "payload", [None, 1, {"n": [1.5, "ü\U0001f600\ufffe"]}, Point(1, ["\x7f\0"])]
)
def test_what_is_nothing_but_a_payload_goes_the_plain_way(
    made: Made, payload: Any, delay: float
) -> None:
    general = Made(plain=False)
    for one in (made, general):
        one.broker.set_queue("work", QueueSettings(delay=delay))
        one.random.number = 1
        one.broker.purge("work")
        one.warm()
        one.clock.advance(5)
        assert one.publish(payload).reached == 1
    assert made.taken == [True]
    assert made.rows() == general.rows()
    general.broker.close()


def test_who_waits_is_told(made: Made) -> None:
    heard: list[list[str]] = []
    made.broker.watch(lambda queues: heard.append(list(queues)))
    made.publish(1)
    assert made.taken == [True]
    assert heard == [["work"]]


def test_what_is_past_its_retention_goes_as_it_does_by_the_general_way(made: Made) -> None:
    made.clock.advance(made.broker.settings("work").retention)
    for n in range(64):
        made.publish(n)
    assert made.taken.count(False) == 1
    assert len(made.bodies()) == 64


def test_the_same_id_again_is_no_second_event(made: Made) -> None:
    first = made.publish(1)
    made.random.number -= 1
    assert made.publish(2) == first
    assert made.taken == [True, True]
    assert [body[-2:] for body in made.bodies()[1:]] == ["1}"]
    made.random.number -= 1
    assert made.publish(3) == first
    assert [body[-2:] for body in made.bodies()[1:]] == ["1}"]
    assert len(made.rows()[1]) == 2  # no body without a message is left


# ---- declined ------------------------------------------------------------------------------------
@contextmanager
def in_a_handler(made: Made) -> Iterator[None]:
    token = current.set(Event(topic="before", payload=1, id="cause", time=0.0))
    yield
    current.reset(token)


@contextmanager
def in_a_task(made: Made) -> Iterator[None]:
    out = Outgoing(cast(Broker, made.broker))
    token = outgoing.set(out)
    yield
    outgoing.reset(token)
    out.flush()


class Traced:
    """Traces nothing but what is sent."""

    def sending(self, *_: Any) -> Any:
        return nullcontext()

    def carried(self) -> str:
        return f"00-{'a' * 32}-{'b' * 16}-01"


@contextmanager
def traced(made: Made) -> Iterator[None]:
    trace_with(cast(Any, Traced()))
    yield
    trace_with(None)


@contextmanager
def in_a_transaction(made: Made) -> Iterator[None]:
    with made.store._database.writing:
        yield
        assert made.store._database.writing.depth == 1


@pytest.mark.parametrize("where", [in_a_handler, in_a_task, traced, in_a_transaction])
def test_what_is_published_elsewhere_goes_the_general_way(made: Made, where: Any) -> None:
    with where(made):
        made.publish("there")
    assert True not in made.taken
    assert [body for body in made.bodies() if "there" in body] == made.bodies()[1:]
    assert len(made.bodies()) == 2


@pytest.mark.parametrize(
    "more",
    [
        {"id": "one"},
        {"delay": 1.0},
        {"at": 1_800_000_010.0},
        {"source": "shop"},
        {"subject": "s"},
        {"correlation_id": "c"},
        {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"},
        {"attributes": {"a": "b"}},
        {"group": "g"},
    ],
)
def test_what_has_more_than_a_payload_goes_the_general_way(
    made: Made, more: dict[str, Any]
) -> None:
    made.publish(1, **more)
    assert made.taken == []
    assert len(made.bodies()) == 2


class Rot13:
    """A codec for whoever looks away."""

    def seal(self, text: str) -> str:
        return f"taskflow.sealed:{text[::-1]}"

    def open(self, text: str) -> str:
        return text.removeprefix("taskflow.sealed:")[::-1]


@pytest.mark.parametrize(
    "before",
    [
        FaultBroker,
        lambda broker: SimulatedBroker(broker, lambda queue: None, quiet=True),
        lambda broker: SimulatedBroker(broker, lambda queue: None, quiet=False),
        lambda broker: SealedBroker(broker, cast(Any, Rot13())),
    ],
)
def test_whoever_stands_before_the_broker_sees_each_publish(made: Made, before: Any) -> None:
    made.random.number += 1
    with using(before(made.broker)):
        assert publish("made", {"secret": 1}).reached == 1
    assert made.taken == []
    assert made.broker.waiting("work", 10) == 2


def test_a_topic_that_is_no_text_of_its_own_goes_the_general_way(made: Made) -> None:
    class Topic(str):
        def __format__(self, how: str) -> str:
            return "another"

    made.publish(1, Topic("made"))
    assert made.taken == [False]
    assert '"type":"made"' in made.bodies()[-1]


def test_json_of_somebody_elses_is_refused_as_ever(made: Made) -> None:
    """What is written as it is may hold what no message holds."""
    with pytest.raises(LimitExceeded, match=r"holds U\+000B"):
        made.publish({"raw": msgspec.Raw(b'"\x0b"')})
    made.publish(msgspec.Raw(b"[1,\n 2]"))
    assert made.taken == [True]
    assert made.bodies()[-1].endswith('"data":[1,\n 2]}')


def test_what_is_too_large_is_refused_as_ever(made: Made) -> None:
    made.broker.set_queue("work", QueueSettings(max_message_bytes=1024))
    made.warm()
    with pytest.raises(LimitExceeded, match="queue 'work' takes 1024"):
        made.publish("x" * 1024)
    with pytest.raises(LimitExceeded, match="1048576 are allowed"):
        made.publish("ü" * 2**20)
    assert made.taken == [False]
    assert made.broker.waiting("work", 10) == 2


# ---- another's changes, another file -------------------------------------------------------------
@pytest.fixture(params=[True, False], ids=["power", "process"])
def durable(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_what_others_declare_is_seen_at_once(tmp_path: Path, durable: bool) -> None:
    made = Made(tmp_path / "broker.db", durable=durable)
    made.warm()
    with closing(StoredBroker(SqliteStore(tmp_path / "broker.db", durable=False))) as other:
        made.publish(1)
        (one,) = other.subscriptions("made")
        other.unsubscribe(one.id)
        assert made.publish("nobody's").reached == 0
        other.subscribe("made", "other")
        assert made.publish(2).reached == 1
        made.publish(3)
    assert made.taken == [True, False, False, True]
    assert (made.broker.waiting("work", 10), made.broker.waiting("other", 10)) == (2, 2)
    made.broker.close()


def settle(folder: Path) -> None:
    """It last changed long ago, and not at a whole second: who looks at it is sure."""
    os.utime(folder, ns=(0, 1_700_000_000_000_000_001))


@pytest.mark.parametrize("seen", ["once", "surely"])
def test_what_goes_into_a_file_that_was_replaced_is_published_anew(
    tmp_path: Path, durable: bool, seen: str
) -> None:
    path = tmp_path / "broker.db"
    made = Made(path, durable=durable)
    made.warm()
    if seen == "surely":
        settle(tmp_path)
        made.publish("before")
        made.publish("before")
        made.taken.clear()
    with closing(Made(tmp_path / "new.db").broker):
        pass
    for end in ("", "-wal", "-shm"):
        Path(f"{path}{end}").unlink()
    (tmp_path / "new.db").rename(path)
    made.publish("saved")
    made.publish("later")
    assert made.taken == [False, True]
    assert ["saved" in body or "later" in body for body in made.bodies()] == [True, True]
    made.broker.close()


def test_a_file_replaced_by_another_thread_after_the_commit_is_told_of(tmp_path: Path) -> None:
    """That one has opened the new file before this one has looked."""
    path = tmp_path / "broker.db"
    made = Made(path, durable=False)
    made.warm()
    database = made.store._database
    file = database.file

    def replace() -> int:
        made.way._durability = made.store._durability  # type: ignore[union-attr]
        with closing(Made(tmp_path / "new.db").broker):
            pass
        for end in ("", "-wal", "-shm"):
            Path(f"{path}{end}").unlink()
        (tmp_path / "new.db").rename(path)
        with pytest.raises(FileReplaced):
            made.store.check()
        assert database.file is not file
        return 0  # as it was before

    late = type("Late", (), {"generation": property(lambda self: replace())})()
    made.way._durability = late  # type: ignore[union-attr]  # asked after the commit
    made.publish("saved")
    assert made.taken == [False]
    assert ["saved" in body for body in made.bodies()] == [True]
    made.broker.close()


def test_who_begins_to_listen_is_told_of_the_next_publish(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "broker.db"
    made = Made(path, durable=durable)
    made.warm()
    for number in range(2):  # at first there is no folder of bells, then an empty one
        settle(tmp_path)
        for _ in range(2):  # the second looks for nobody, if the folder is as it was
            made.publish("before")
        listener = Doorbell(path)
        listener.listen()
        made.publish(number)
        assert listener.hear(0.0) == ["work"]
        listener.close()
    assert made.taken == [True] * 6
    made.broker.close()


def test_of_listeners_it_is_sure_as_long_as_the_folder_stays_as_it_is(tmp_path: Path) -> None:
    made = Made(tmp_path / "broker.db", durable=False)
    made.warm()
    rung: list[Any] = []
    assert isinstance(made.way, SqlitePlainWay)
    reaches = made.way._reaches

    def noted(queues: Sequence[str]) -> bool:
        rung.append(queues)
        return reaches(queues)

    made.way._reaches = noted
    settle(tmp_path)
    for changed in (False, False, True, False, False):
        if changed:
            (tmp_path / "beside it").touch()
            os.utime(tmp_path, ns=(0, 1_700_000_000_000_000_002))
        made.publish(1)
    assert rung == [["work"], ["work"]]
    os.utime(tmp_path, ns=(0, 1_700_000_000_000_000_000))  # a file system of whole seconds
    made.publish(1)
    made.publish(1)
    assert len(rung) == 4
    made.broker.close()


def test_an_error_of_the_disk_is_told_as_ever(made: Made) -> None:
    made.publish(1)
    assert isinstance(made.way, SqlitePlainWay)

    def full(*_: Any) -> Any:
        raise apsw.FullError

    made.way._execute = full
    with pytest.raises(BrokerFileError, match="the disk is full"):
        made.publish(2)
    assert made.broker.waiting("work", 10) == 2
