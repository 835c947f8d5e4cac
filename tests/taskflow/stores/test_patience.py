"""How long a statement waits for a lock, and that leaving ends the wait."""

import threading
from pathlib import Path

import apsw
import pytest

from taskflow.config import open_broker
from taskflow.errors import BrokerUnavailable
from taskflow.message import Message
from taskflow.stores.sqlite.patience import (
    EAGER,
    FEW,
    HURRIED,
    LONG,
    LONGEST,
    LOOKS,
    MANY,
    SHORT,
    Patience,
)


def test_it_gives_up_after_half_a_minute() -> None:
    tries = next(number for number in range(10_000) if Patience.waited(number) >= LONGEST)
    assert not Patience()(tries)
    assert Patience.waited(tries - 1) < LONGEST


def test_who_has_waited_for_long_looks_several_times_each_time_it_is_awake() -> None:
    pauses = [Patience.pause(number) for number in range(10_000)]
    awake = [SHORT, *[0.0] * LOOKS]
    assert pauses[:FEW] == [SHORT] * FEW
    eager = pauses[FEW:][: EAGER * len(awake)]
    assert eager == [*awake[1:], awake[0]] * EAGER
    rest = pauses[FEW + len(eager) :]
    assert rest[: MANY - FEW - EAGER] == [SHORT] * (MANY - FEW - EAGER)
    assert set(rest[MANY - FEW - EAGER :]) == {LONG}  # who holds it that long is not done soon


def test_what_was_waited_is_the_sum_of_the_pauses() -> None:
    pauses = [Patience.pause(number) for number in range(3000)]
    for tries in range(0, 3000, 7):
        assert Patience.waited(tries) == pytest.approx(sum(pauses[:tries]))


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
