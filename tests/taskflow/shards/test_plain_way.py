"""A plain publish to one of several files: stored as by the general way, in the file of its id."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from itertools import count
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskflow import Broker, open_broker, publish
from taskflow.broker import QueueSettings
from taskflow.brokers.sharded.broker import ShardedBroker
from taskflow.brokers.sharded.homes import Homes
from taskflow.brokers.sharded.plain_way import ShardedPlainWay
from taskflow.brokers.sharded.publish import Publisher
from taskflow.brokers.sharded.reshard import goal_of
from taskflow.brokers.sharded.shard_map import even_map, owners_of
from taskflow.brokers.sharded.shards import Shards
from taskflow.errors import BrokerFileError, TaskflowError
from taskflow.event import Event
from taskflow.message import Message
from taskflow.placing import PLACES
from taskflow.publisher import EventId, publish_many, using
from taskflow.stores.sqlite.notifier import Notifier
from taskflow.stores.sqlite.plain_way import SqlitePlainWay
from taskflow.testing import FaultBroker, ManualClock
from tests.taskflow.stores.test_arrivals import VERBS
from tests.taskflow.stores.test_plain_way import Numbered

WAIT = 30.0  # real seconds, for what comes at once


class Made:
    """A broker over several files whose clock stands still, two queues, and a topic for the first
    of them; what the plain way was asked, and whether it did it. A place is chosen once for each
    publish, whichever way it goes."""

    def __init__(
        self,
        path: Path,
        clock: ManualClock,
        *,
        files: int | None = 2,
        plain: bool = True,
        durability: str = "process",
    ) -> None:
        self.clock, self.random = clock, Numbered()
        more = "" if files is None else f"&shards={files}"
        address = f"sqlite:///{path}?durability={durability}{more}"
        opened = open_broker(address, clock=self.clock, random=self.random)
        self.broker = cast(ShardedBroker, opened)
        self.taken: list[bool] = []
        publisher = cast(Publisher, cast(Any, self.broker.publish).__self__)
        self.way = publisher.plain
        assert isinstance(self.way, ShardedPlainWay)
        self.homes: Homes = self.way._homes
        self.homes.new_place = self._place  # type: ignore[method-assign]
        self.broker.new_place = self._place
        take = self.way.publish

        def noted(topic: str, payload: Any, most: int) -> str | None:
            done = take(topic, payload, most) if plain else None
            self.taken.append(done is not None)
            return done

        self.way.publish = noted  # type: ignore[method-assign]
        if files is not None:
            for queue in ("work", "other"):
                self.broker.create_queue(queue)
            self.broker.create_topic("made")
            self.broker.subscribe("made", "work")

    @property
    def file(self) -> SqlitePlainWay:
        """That of the second file."""
        return self.broker.shards[1].plain

    place: int | None = None
    """Where the next ones lie; None: anywhere."""

    def _place(self, many: bool = False) -> int:
        return self.random.number * 389 % PLACES if self.place is None else self.place

    def publish(self, payload: Any, topic: str = "made") -> EventId:
        self.random.number += 1
        return publish(topic, payload, broker=cast(Broker, self.broker))

    def warm(self) -> None:
        """The topic is known in each file."""
        for file in range(len(self.broker.shards)):
            self.place = next(
                place
                for place in range(PLACES)
                if self.broker.course.placement.of_place(place) == file
            )
            self.publish("the first goes the general way")
        self.place = None
        self.taken.clear()

    def arrived(self) -> int:
        return sum(
            cast(int, shard.store._database.connection.execute("SELECT count(*) FROM arrival").get)
            for shard in self.broker.shards
        )

    def rows(self) -> list[list[Any]]:
        """All there is of messages in each file, but for receipts, which are random."""
        found = []
        for shard in self.broker.shards:
            shard.store.look(lambda _: None)
            connection = shard.store._database.connection
            for table, order in {"message": "queue, seq", "body": "seq", "shared": "seq"}.items():
                rows = [
                    list(row)
                    for row in connection.execute(f"SELECT * FROM {table} ORDER BY {order}")
                ]
                for row in rows if table == "message" else ():
                    row[4] = None
                found.append(rows)
        return found

    def check_places(self, bodies: list[str]) -> None:
        """Each of these is there once, in the file of its place."""
        placement = self.broker.course.placement
        there: list[str] = []
        for shard in self.broker.shards:
            for one in shard.broker.peek("work", 1000):
                if "the first goes" not in one.body:
                    assert placement.of_id(one.id) == shard.number
                    there.append(one.body[one.body.index('"data":') + 7 : -1])
        assert sorted(there) == sorted(bodies)


@pytest.fixture(params=["process", "power"])
def made(
    request: pytest.FixtureRequest, tmp_path: Path, taskflow_clock: ManualClock
) -> Iterator[Made]:
    made = Made(tmp_path / "broker.db", taskflow_clock, durability=request.param)
    made.warm()
    yield made
    made.broker.close()


@pytest.fixture
def other(made: Made, tmp_path: Path, taskflow_clock: ManualClock) -> Iterator[Made]:
    """As another process has it."""
    other = Made(tmp_path / "broker.db", taskflow_clock, files=None)
    yield other
    other.broker.close()


# ---- the same ------------------------------------------------------------------------------------
def test_what_is_nothing_but_a_payload_goes_the_plain_way_into_the_file_of_its_id(
    made: Made,
) -> None:
    for number in range(40):
        assert made.publish(number).reached == 1
    assert made.taken == [True] * 40
    assert made.arrived() == 40
    made.check_places([str(number) for number in range(40)])


Step = Callable[[Made], Any]
STEPS: dict[str, Step] = {
    "one": lambda made: made.publish("x"),
    "what is no JSON": lambda made: made.publish(object()),
    "a large one": lambda made: made.publish("x" * 1500),
    "to nobody": lambda made: made.publish(1, "unknown"),
    "many": lambda made: [made.publish(number) for number in range(70)],
    "time": lambda made: made.clock.advance(0.001),
    "much time": lambda made: made.clock.advance(2e6),
    "back": lambda made: made.clock.set(made.clock.now() - 3),
    "delay": lambda made: made.broker.set_queue("work", QueueSettings(delay=7.0)),
    "small": lambda made: made.broker.set_queue("work", QueueSettings(max_message_bytes=1024)),
    "second": lambda made: bool(made.broker.subscribe("made", "other")),
    "end": lambda made: [
        made.broker.unsubscribe(one.id) for one in made.broker.subscriptions("made")
    ],
    "again": lambda made: bool(made.broker.subscribe("made", "work")),
    "drop": lambda made: made.broker.delete_queue("work"),
    "queue": lambda made: made.broker.create_queue("work"),
    "lend": lambda made: len(made.broker.receive("work", limit=3)),
    "purge": lambda made: made.broker.purge("work"),
    "three files": lambda made: made.broker.resharding.run(3),
    "one file": lambda made: made.broker.resharding.run(1),
}


@settings(deadline=None, max_examples=25)
@given(chosen=st.lists(st.sampled_from(list(STEPS)), max_size=10))
def test_both_ways_store_the_same_and_raise_the_same(
    tmp_path_factory: pytest.TempPathFactory, chosen: list[str]
) -> None:
    def play(plain: bool) -> tuple[list[list[Any]], list[Any]]:
        made = Made(tmp_path_factory.mktemp("made") / "b.db", ManualClock(), plain=plain)
        told: list[Any] = []
        with closing(made.broker):
            for name in chosen:
                try:
                    told.append(STEPS[name](made))
                except (TaskflowError, TypeError) as error:
                    told.append((type(error), str(error)))
            return made.rows(), told

    assert play(True) == play(False)


@pytest.mark.parametrize("name", VERBS)
def test_each_verb_of_another_process_answers_and_leaves_the_same(
    tmp_path: Path, taskflow_clock: ManualClock, name: str
) -> None:
    """As the general way has it, in whichever file."""

    def ask(plain: bool) -> tuple[Any, ...]:
        path = tmp_path / f"{plain}.db"
        made = Made(path, taskflow_clock, plain=plain)
        other = Made(path, taskflow_clock, files=None, plain=plain)
        made.warm()
        ids = [str(made.publish(number)) for number in range(3)]
        assert made.arrived() == (3 if plain else 0)
        answer = VERBS[name](other.broker, ids)
        rows = made.rows()
        for one in (other, made):
            one.broker.close()
        return answer, rows, ids

    assert ask(True) == ask(False)


def test_batches_are_stored_whole(made: Made) -> None:
    events = [
        Event(topic="made", payload=number, id=f"id-{number}", time=0.0) for number in range(9)
    ]
    assert [one.reached for one in publish_many(events, broker=cast(Broker, made.broker))] == [
        1
    ] * 9
    made.check_places([str(number) for number in range(9)])


def test_whoever_stands_before_the_broker_sees_each_publish(made: Made) -> None:
    with using(FaultBroker(cast(Broker, made.broker))):
        assert publish("made", 1).reached == 1
    assert made.taken == []


def test_for_what_goes_the_general_way_a_place_is_chosen_once(made: Made) -> None:
    made.broker.subscribe("made", "other")
    made.warm()
    chosen: list[int] = []
    choose = made.homes.new_place

    def noted(many: bool = False) -> int:
        chosen.append(choose(many))
        return chosen[-1]

    made.homes.new_place = made.broker.new_place = noted  # type: ignore[method-assign]
    assert made.publish(1).reached == 2
    assert made.taken == [False]
    assert len(chosen) == 1


# ---- who waits -----------------------------------------------------------------------------------
@pytest.mark.parametrize("place", [0, PLACES - 1])
def test_who_waits_in_another_process_hears_it_whichever_file_it_went_to(
    made: Made, other: Made, taskflow_clock: ManualClock, place: int
) -> None:
    made.place = place
    for number in range(3):  # before, nobody listened, which was found out
        made.publish(number)
    other.broker.purge("work")
    heard: list[str] = []
    other.broker.watch(heard.extend)
    with ThreadPoolExecutor() as pool:
        for _ in range(2):
            heard.clear()
            polled = pool.submit(other.broker.receive, "work", wait=20)
            taskflow_clock.wait_until_parked()
            made.publish("heard")
            (held,) = polled.result(WAIT)
            assert held.receipt.startswith("0/" if place == 0 else "1/")
            assert heard == ["work"]
    assert made.taken == [True] * 5


def test_who_waits_here_hears_it(made: Made, taskflow_clock: ManualClock) -> None:
    heard: list[str] = []
    made.broker.watch(heard.extend)
    with ThreadPoolExecutor() as pool:
        made.broker.purge("work")
        polled = pool.submit(made.broker.receive, "work", wait=20)
        taskflow_clock.wait_until_parked()
        made.publish(1)
        assert len(polled.result(WAIT)) == 1
    assert made.taken == [True]
    assert "work" in heard


def test_while_there_is_no_bell_nobody_can_say_that_none_hears(tmp_path: Path) -> None:
    """As while the leader is opened anew: it would be kept as long as the folder is as it was."""
    notifier = Notifier()
    assert notifier.reaches(["work@1"])
    notifier.open(tmp_path / "broker.db")
    assert not notifier.reaches(["work@1"])
    notifier.close()


# ---- another map ---------------------------------------------------------------------------------
def reshard(broker: ShardedBroker, files: int) -> None:
    broker.resharding.run(files)


@pytest.mark.parametrize("files", [1, 3])
def test_what_another_process_made_of_the_files_is_seen_at_once(
    made: Made, other: Made, files: int
) -> None:
    made.publish("before")
    reshard(other.broker, files)
    for number in range(40):
        made.publish(number)
    assert len(made.broker.shards) == files
    assert made.taken.count(False) == files  # the first into each
    made.check_places(['"before"', *(str(number) for number in range(40))])


def moving(files: int) -> int:
    """A place of the second file that is another's when two have become so many."""
    before = owners_of(even_map("x", 2))
    after = goal_of(before, files)
    return max(at for at in range(PLACES) if before[at] == 1 != after[at])


def once(work: Callable[[], object], then: Callable[..., Any]) -> Callable[..., Any]:
    """What does the work before, the first time."""
    left = [work]

    def call(*args: Any) -> Any:
        if left:
            left.pop()()
        return then(*args)

    return call


MOMENTS: dict[str, Callable[[Made, Callable[[], object]], None]] = {
    "its place is chosen": lambda made, work: setattr(
        made.homes, "new_place", once(work, made.homes.new_place)
    ),
    "its file is chosen": lambda made, work: setattr(
        made.way, "_clock", SimpleNamespace(now=once(work, made.clock.now))
    ),
    "the file knows the topic": lambda made, work: setattr(
        made.file, "_tidies_next", once(work, made.file._tidies_next)
    ),
    "it is stored": lambda made, work: setattr(made.file, "_store", once(work, made.file._store)),
}


@pytest.mark.parametrize("learns", [False, True])
@pytest.mark.parametrize("files", [1, 3])
@pytest.mark.parametrize("moment", MOMENTS)
def test_it_never_goes_where_its_place_is_no_more(
    made: Made, other: Made, moment: str, files: int, learns: bool
) -> None:
    """Another process divides the files anew at the moment at which this happens; another thread
    knows that already, and has published by it."""
    made.place = moving(files)

    def change() -> None:
        reshard(other.broker, files)
        if learns:
            for shard in other.broker.shards:
                id = next(
                    id for at in count() if place_is_of(other, id := f"id-{at}", shard.number)
                )
                made.broker.publish("made", [Message(id, '"data":"another\'s"}')])

    MOMENTS[moment](made, change)
    made.publish("x")
    made.publish("y")
    made.check_places(['"x"', '"y"', *['"another\'s"'] * (files if learns else 0)])


def place_is_of(made: Made, id: str, number: int) -> bool:
    return made.broker.course.placement.of_id(id) == number


def test_what_was_learned_by_an_older_map_is_not_gone_by(made: Made, other: Made) -> None:
    """The files are divided between the commit of a publish, and when the topic is learned."""
    made.place = moving(3)
    made.broker.set_queue("work", QueueSettings(delay=1.0))  # is to be learned anew
    learn = made.file.learn
    made.file.learn = once(lambda: reshard(other.broker, 3), learn)  # type: ignore[method-assign]
    for number in range(3):
        made.publish(number)
    assert made.taken == [False, False, True]
    made.clock.advance(2)
    made.check_places(["0", "1", "2"])


def test_a_place_is_chosen_by_one_map_whenever_another_thread_follows_the_next(
    made: Made, other: Made
) -> None:
    homes = Homes(made.broker.shards, made.broker.course.placement, made.clock, Random(1))
    homes._sends.number = 1
    choose = homes._file

    def change(number: int) -> Any:
        """Another thread does, as soon as the file is chosen."""
        chosen = choose(number)
        reshard(other.broker, 1)
        made.broker.counts("work")
        return chosen

    homes._file = change  # type: ignore[method-assign]
    made.homes.new_place = made.broker.new_place = homes.new_place  # type: ignore[method-assign]
    made.publish("x")
    assert len(made.broker.shards) == 1
    made.check_places(['"x"'])


def test_a_look_by_an_older_map_says_nothing_of_a_lock(
    made: Made, other: Made, caplog: pytest.LogCaptureFixture
) -> None:
    reshard(made.broker, 3)
    made.warm()
    for number in range(20):
        made.publish(number)
    assert made.arrived() == 20
    assert other.broker.counts("work").visible == 25
    assert caplog.text == ""


# ---- errors --------------------------------------------------------------------------------------
def gone() -> None:
    raise BrokerFileError("no such file")


def test_where_its_file_has_left_the_broker_meanwhile_it_goes_to_another(
    made: Made, other: Made
) -> None:
    made.place = moving(1)

    def change() -> None:
        reshard(other.broker, 1)
        gone()

    made.file._store = once(change, made.file._store)
    id = made.publish("x")
    assert made.taken == [True]
    made.check_places(['"x"'])
    assert made.broker.peek("work", ids=[id])


def test_what_was_stored_there_before_is_not_stored_twice(made: Made, other: Made) -> None:
    made.place = moving(1)
    store = made.file._store

    def store_and_fail(*args: Any) -> bool:
        assert store(*args)
        reshard(other.broker, 1)
        gone()
        return True

    made.file._store = store_and_fail
    id = made.publish("x")
    made.check_places(['"x"'])
    assert made.broker.peek("work", ids=[id])


def test_any_other_error_is_told_and_nothing_is_stored(made: Made) -> None:
    made.place = moving(1)
    made.file._store = once(gone, made.file._store)
    with pytest.raises(BrokerFileError, match="no such file"):
        made.publish("x")
    made.publish("y")
    made.check_places(['"y"'])


def test_where_a_file_is_not_known_yet_it_goes_the_general_way(made: Made, other: Made) -> None:
    """The map was seen by another thread, which is about to open it."""
    made.place = moving(3)
    reshard(other.broker, 3)
    made.broker.counts("work")
    made.publish("x")
    made.taken.clear()
    with patched(made.broker.shards):
        made.publish("y")
    assert made.taken == [False]
    made.check_places(['"x"', '"y"'])


@contextmanager
def patched(shards: Shards) -> Iterator[None]:
    """In the block, until the first look, the last one is not there."""
    last = shards.pop()
    with ExitStack() as stack:
        stack.callback(lambda: None if len(shards) == last.number + 1 else shards.append(last))
        yield
