"""How long a statement waits for a lock, and that leaving ends the wait."""

import threading
from pathlib import Path

import apsw
import pytest

from taskflow.config import open_broker
from taskflow.errors import BrokerUnavailable
from taskflow.message import Message
from taskflow.stores.sqlite.patience import HURRIED, LONGEST, Patience


def test_it_gives_up_after_half_a_minute() -> None:
    tries = next(number for number in range(10_000) if Patience.waited(number) >= LONGEST)
    assert not Patience()(tries)
    assert Patience.waited(tries - 1) < LONGEST


def test_in_a_hurry_it_gives_up_after_a_second() -> None:
    patience = Patience()
    patience.hurry()
    tries = next(number for number in range(10_000) if Patience.waited(number) >= HURRIED)
    assert not patience(tries)


def test_a_wait_that_is_going_on_ends_when_hurried() -> None:
    patience = Patience()
    far = next(number for number in range(10_000) if Patience.waited(number) >= HURRIED)
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(patience(far)))
    thread.start()
    patience.hurry()
    thread.join(10)
    assert answers in ([True], [False])  # the next try is refused, or this one was
    assert not patience(far)


@pytest.mark.slow
def test_a_broker_in_a_hurry_does_not_wait_for_a_lock(tmp_path: Path) -> None:
    broker = open_broker(f"sqlite:///{tmp_path}/broker.db")
    broker.create_queue("work")
    other = apsw.Connection(f"{tmp_path}/broker.db")
    other.execute("BEGIN IMMEDIATE")
    refused = threading.Event()

    def send() -> None:
        with pytest.raises(BrokerUnavailable):
            broker.send("work", [Message("1", "x")])
        refused.set()

    thread = threading.Thread(target=send)
    thread.start()
    broker.hurry()
    assert refused.wait(10)
    thread.join(10)
    other.execute("ROLLBACK")
    other.close()
    broker.close()
