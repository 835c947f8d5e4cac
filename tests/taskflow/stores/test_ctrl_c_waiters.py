"""Ctrl-C where a thread counts rings: the lock that all who store something need is let go."""

from collections.abc import Callable
from pathlib import Path

import pytest

from taskflow import open_broker
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.brokers.stored.waiters import Waiters
from tests.taskflow.stores.test_ctrl_c import struck
from tests.taskflow.test_condition import held_by_others

WHERE = ("taskflow.brokers.stored.waiters", "taskflow.condition")


def attend(waiters: Waiters) -> None:
    with waiters.attending(["#1"]):
        pass


VERBS: dict[str, Callable[[Waiters], object]] = {
    "rung": lambda waiters: waiters.rung(["work"]),
    "heard": lambda waiters: waiters.heard(["work"]),
    "attending": attend,
}


@pytest.mark.parametrize("name", VERBS)
def test_the_lock_is_let_go(name: str, tmp_path: Path) -> None:
    broker = open_broker(f"sqlite:///{tmp_path}/broker.db")
    assert isinstance(broker, StoredBroker)
    waiters = broker.core.waiters
    assert isinstance(waiters, Waiters)
    for number in range(100):
        was_struck = struck(number, lambda: VERBS[name](waiters), WHERE)
        assert not held_by_others(waiters._lock), f"at place {number}"  # type: ignore[arg-type]
        if not was_struck:
            break
    assert 1 < number < 100
    broker.close()
