"""What an operator may ask of AWS, and what is refused with the reason."""

from collections.abc import Callable
from typing import Any

import pytest

from taskflow.broker.action import Action
from taskflow.broker.message_query import MessageQuery
from taskflow.brokers.aws.broker import AwsBroker
from taskflow.errors import LimitExceeded
from taskflow.message import Message


@pytest.mark.parametrize(
    "ask",
    [
        lambda broker: broker.find(MessageQuery()),
        lambda broker: broker.causes(),
        lambda broker: broker.resend("dead", "1", Message("2", "x")),
        lambda broker: broker.transfer("dead", ["1"], "work"),
        lambda broker: broker.lend("dead", "1", 60),
    ],
    ids=["find", "causes", "resend", "transfer", "lend"],
)
def test_what_looks_into_queues_is_refused(
    broker: AwsBroker, ask: Callable[[AwsBroker], Any]
) -> None:
    assert not broker.features.inspection
    with pytest.raises(LimitExceeded, match=r"aws:// cannot [a-z ]+"):
        ask(broker)


def test_what_was_done_and_seen_is_kept(broker: AwsBroker) -> None:
    broker.create_queue("work")
    broker.send("work", [Message("1", "x")])
    assert broker.note_history()
    assert [one.visible for one in broker.history()["work"]] == [1]
    broker.note_action(Action(who="ada", did="pause", queue="work"))
    assert [one.did for one in broker.list_actions().actions] == ["pause"]
