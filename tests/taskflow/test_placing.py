"""Where ids and keys lie: what belongs together, together."""

from random import Random

import pytest

from taskflow.message import new_id
from taskflow.placing import FIFO_PLACE, PLACES, place_beside, place_of, place_of_call, place_of_key
from taskflow.scheduling.firing import tick_id
from taskflow.tasks.canvas.links import member_id
from taskflow.tasks.child_ids import child_id
from taskflow.tasks.durable import Durable, life_of
from taskflow.tasks.preparing import message_id

MADE = new_id(1000.0, Random(1), 777)


@pytest.mark.parametrize("root", [MADE, "order-17", "é" * 90, "a" * 120, "user@example.com"])
def test_all_that_is_made_of_an_id_lies_with_it(root: str) -> None:
    life = life_of(root, Durable(life=2))
    child = child_id(life, "call:pay", 3)
    made = [
        message_id(root, 5),
        member_id(root, 7),
        life,
        child,
        message_id(child, 2),
        child_id(child, "map:" + "x" * 200, 1),
        f"{life}:order.created:1",
        f"{root}\nsignal\n1",
        f"{root}.error",
    ]
    assert {place_of(id) for id in made} == {place_of(root)}


def test_an_id_that_is_made_here_says_where() -> None:
    assert {place_of(new_id(float(at), Random(at), at)) for at in range(0, PLACES, 50)} == {
        *range(0, PLACES, 50)
    }
    assert len({place_of(new_id(1.0, Random(at))) for at in range(100)}) > 80


def test_given_ids_are_spread() -> None:
    assert len({place_of(f"order-{at}") for at in range(1000)}) > 500
    assert len({place_of(f"order:{at}") for at in range(1000)}) == 1


def test_a_tick_lies_with_its_schedule_and_its_lock() -> None:
    name = "app.tasks.report"
    assert place_of(tick_id(name, 5.0)) == place_of(name) == place_of_key(f"schedule/{name}")
    assert len({place_of_key(f"task/app.tasks.sync/{at}") for at in range(100)}) > 80


def test_a_call_lies_with_what_it_shares() -> None:
    assert place_of_call("q", "task/t/k", "t", 5) == place_of_key("task/t/k")
    assert place_of_call("q.fifo", None, None, 5) == FIFO_PLACE
    assert place_of_call("q", None, "t", 5) == place_beside("q", MADE, "t")
    assert place_of_call("q", None, None, 5) == 5
    assert place_of_call("q", None, None, None) is None


def test_what_a_handler_sends_lies_beside_its_message() -> None:
    assert place_beside("q", MADE, None) == 777
    assert place_beside("q.fifo", MADE, None) == FIFO_PLACE
