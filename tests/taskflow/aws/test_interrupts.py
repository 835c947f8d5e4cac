"""A time limit that strikes within boto3: a change on AWS is made whole first."""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType

import pytest

from taskflow.broker.change import Change, Put, Send
from taskflow.broker.settings import Finish, QueueSettings
from taskflow.brokers.aws.broker import AwsBroker
from taskflow.config import open_broker
from taskflow.message import Message
from taskflow.uninterrupted import stands_inside


def places(verb: Callable[[], object]) -> list[str]:
    """Where in a verb a time limit may interrupt this thread: the functions, in order. (Those of
    moto, which listens to boto3 in this process, and of hypothesis, which hears of each garbage
    collection, are nobody's in an application.)"""
    found: list[str] = []

    def look(frame: FrameType, event: str, argument: object) -> None:
        name = str(frame.f_globals.get("__name__"))
        is_place = event in ("call", "c_return") and not name.startswith(("moto.", "hypothesis."))
        if is_place and not stands_inside(frame):
            found.append(f"{name}.{frame.f_code.co_qualname}")

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        verb()
    finally:
        sys.setprofile(before)
    return [one for one in found if not one.startswith(f"{__name__}.")]


@pytest.fixture
def broker(moto: str) -> Iterator[AwsBroker]:
    """Over a socket, as real calls are."""
    opened = open_broker(f"aws://us-east-1?endpoint={moto}")
    assert isinstance(opened, AwsBroker)
    opened.create_topic("order.created")
    opened.create_queue("work-dlq")
    opened.create_queue("work", QueueSettings(dead_letter_queue="work-dlq", max_receives=3))
    opened.subscribe("order.created", "work")
    yield opened
    for queue in ("work", "work-dlq"):  # the next test finds nothing of this one there
        opened.delete_queue(queue)
    opened.close()


def messages(*ids: str) -> list[Message]:
    return [Message(id, "x") for id in ids]


CHANGE = Change(
    id="change",
    records=[Put(kind="test", key="k", value="1", expected=0)],
    sends=[Send("work", messages("c"))],
)
VERBS: dict[str, Callable[[AwsBroker], Callable[[], object]]] = {
    "publish": lambda broker: partial(broker.publish, "order.created", messages("p")),
    "publish many": lambda broker: partial(broker.publish, "order.created", messages(*"abc")),
    "send": lambda broker: partial(broker.send, "work", messages("s")),
    "apply": lambda broker: partial(broker.apply, [CHANGE]),
}


@pytest.mark.parametrize("verb", VERBS)
def test_who_stores_on_aws_is_not_interrupted(broker: AwsBroker, verb: str) -> None:
    assert places(VERBS[verb](broker)) == []


@pytest.mark.parametrize("how", ["delete", "extend", "give back", "dead letter", "change"])
def test_who_settles_on_aws_is_not_interrupted(broker: AwsBroker, how: str) -> None:
    broker.send("work", messages("m"))
    (one,) = broker.receive("work")
    settles = Change(fence=one, settlements=[Finish(one)])
    verbs: dict[str, Callable[[], object]] = {
        "delete": partial(broker.delete, [Finish(one)]),
        "extend": partial(broker.extend, [(one, 60.0)]),
        "give back": partial(broker.give_back, [one]),
        "dead letter": partial(broker.dead_letter, [(one, "{}")]),
        "change": partial(broker.apply, [settles]),
    }
    assert places(verbs[how]) == []


def test_what_the_looks_see_counts(broker: AwsBroker) -> None:
    """A verb that may be interrupted has such places."""
    assert places(lambda: broker.counts("work"))
