"""A plain publish to one of several files: stored as by the general way, in the file of its id."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskflow import Broker, publish
from taskflow.broker import QueueSettings
from taskflow.errors import TaskflowError
from taskflow.event import Event
from taskflow.placing import PLACES
from taskflow.publisher import publish_many, using
from taskflow.stores.sqlite.notifier import Notifier
from taskflow.testing import FaultBroker, ManualClock
from tests.taskflow.shards.made import Made
from tests.taskflow.stores.test_arrivals import VERBS

WAIT = 30.0  # real seconds, for what comes at once


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
    stored = publish_many(events, broker=cast(Broker, made.broker))
    assert [one.reached for one in stored] == [1] * 9
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
