"""A plain publish while the files are divided anew: it goes where its id belongs, once."""

from collections.abc import Callable
from itertools import count
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from taskflow.broker import QueueSettings
from taskflow.brokers.sharded.homes import Homes
from taskflow.brokers.sharded.reshard import goal_of
from taskflow.brokers.sharded.shard_map import even_map, owners_of
from taskflow.errors import BrokerFileError
from taskflow.message import Message
from taskflow.placing import PLACES
from tests.taskflow.shards.made import Made


# ---- another map ---------------------------------------------------------------------------------
@pytest.mark.parametrize("files", [1, 3])
def test_what_another_process_made_of_the_files_is_seen_at_once(
    made: Made, other: Made, files: int
) -> None:
    made.publish("before")
    other.broker.resharding.run(files)
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
        other.broker.resharding.run(files)
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
    made.file.learn = once(lambda: other.broker.resharding.run(3), learn)  # type: ignore[method-assign]
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

    def change(step: int) -> Any:
        """Another thread does, as soon as the file is chosen."""
        chosen = choose(step)
        other.broker.resharding.run(1)
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
    made.broker.resharding.run(3)
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
        other.broker.resharding.run(1)
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
        other.broker.resharding.run(1)
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
    other.broker.resharding.run(3)
    made.broker.counts("work")
    made.publish("x")
    made.taken.clear()
    unknown = made.broker.shards.pop()
    made.publish("y")
    unknown.store.close(checkpoint=False)
    assert made.taken == [False]
    made.check_places(['"x"', '"y"'])
