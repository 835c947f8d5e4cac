"""What the retention of a queue takes is counted, and said once."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskflow import open_broker
from taskflow.broker import Broker
from taskflow.broker.settings import QueueSettings
from taskflow.message import Message
from taskflow.testing import ManualClock

KEPT = 60.0


@pytest.fixture(params=["memory://", "sqlite:///{}/broker.db"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    opened = open_broker(request.param.format(tmp_path), clock=ManualClock())
    opened.create_queue("work-dlq", QueueSettings(retention=2 * KEPT))
    opened.create_queue(
        "work", QueueSettings(retention=KEPT, dead_letter_queue="work-dlq", max_receives=3)
    )
    yield opened
    opened.close()


def clock_of(broker: Broker) -> ManualClock:
    assert isinstance(broker.clock, ManualClock)
    return broker.clock


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if "within its retention" in one.msg]


def test_what_nobody_received_in_time_is_counted_and_said_once(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    for turn in range(2):
        broker.send("work", [Message(f"{turn}-{number}", "x") for number in range(3)])
        clock_of(broker).advance(KEPT)
        assert broker.receive("work") == []
    assert broker.counts("work").expired == 6
    assert [text.split()[0] for text in said(caplog)] == ["queue=work"]


def test_letters_that_nobody_looked_after_are_counted(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    broker.send("work", [Message("a", "x")])
    broker.dead_letter([(broker.receive("work")[0], "{}")])
    clock_of(broker).advance(2 * KEPT)
    broker.send("work", [Message("b", "x")])
    broker.dead_letter([(broker.receive("work")[0], "{}")])
    assert (broker.counts("work-dlq").visible, broker.counts("work-dlq").expired) == (1, 1)
    assert broker.counts("work").expired == 0
    assert [text.split()[0] for text in said(caplog)] == ["queue=work-dlq"]


def test_an_id_sent_again_after_its_retention_makes_room_and_counts(broker: Broker) -> None:
    for _ in range(2):
        broker.send("work", [Message("a", "x")])
        clock_of(broker).advance(KEPT)
    assert broker.counts("work").expired == 1


def test_nothing_is_counted_that_was_handled_or_purged(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    broker.send("work", [Message("a", "x"), Message("b", "x")])
    broker.purge("work")
    clock_of(broker).advance(KEPT)
    assert broker.receive("work") == []
    assert broker.counts("work").expired == 0
    assert caplog.records == [] or max(one.levelno for one in caplog.records) < logging.WARNING


def test_a_few_among_others_are_counted_too(broker: Broker) -> None:
    """What is hidden comes back at its own time, past its retention, beside what is not."""
    broker.send("work", [Message("old", "x", delay=KEPT / 2)])
    clock_of(broker).advance(KEPT / 2 - 1)
    broker.send("work", [Message("young", "x")])
    clock_of(broker).advance(KEPT / 2 + 1)
    assert [one.id for one in broker.receive("work", limit=10)] == ["young"]
    assert broker.counts("work").expired == 1
