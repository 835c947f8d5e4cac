"""A handler of signals publishes in the midst of what its thread stores: both are stored, whole."""

from pathlib import Path

import pytest

from taskflow.brokers.stored.broker import StoredBroker
from taskflow.message import Message, new_id
from tests.taskflow.stores.test_ctrl_c import at_place
from tests.taskflow.stores.test_ctrl_c_everywhere import MANY, broker, publish, publish_many
from tests.taskflow.stores.test_ctrl_c_twice import stored

__all__ = ["broker"]

_ROOMS = (
    *("transaction", "read_block", "shared_commit", "disk_sync"),
    *("plain_way", "store", "gathering"),
)
WHERE = tuple(f"taskflow.stores.sqlite.{room}" for room in _ROOMS)


def send(broker: StoredBroker) -> None:
    broker.send("work", [Message(new_id(1.0, broker.random), "x")])


def gather(broker: StoredBroker) -> None:
    outcomes, wait = broker.gathered([lambda: send(broker)] * 2, 1.0)
    assert [error for _, error in outcomes] == [None] * 2
    if wait is not None:
        wait()


VERBS = {
    "publish": (publish, 1),
    "many": (publish_many, 2),
    "send": (send, 1),
    "gather": (gather, 2),
}


@pytest.mark.parametrize("name", VERBS)
def test_both_are_stored(name: str, broker: StoredBroker, tmp_path: Path) -> None:
    verb, stores = VERBS[name]
    publish(broker)
    publish(broker)  # the short way
    for number in range(MANY):
        before = stored(tmp_path / "broker.db")
        came = at_place(number, lambda: verb(broker), lambda: publish(broker), WHERE)
        assert stored(tmp_path / "broker.db") == before + stores + came, f"at place {number}"
        if not came:
            break
    assert 5 < number < MANY
