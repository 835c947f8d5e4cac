"""One log line for each attempt."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from taskflow import Broker, Context, Event, Reject, Worker, publish
from taskflow.middleware import Run
from taskflow.retry import Outcome
from taskflow.testing import ManualClock
from tests.taskflow.making import Handler

Work = Callable[..., Worker]


@pytest.mark.parametrize(
    ("failures", "error", "level", "outcome", "more"),
    [
        (0, None, logging.INFO, "done", ""),
        (1, ValueError("two\nlines"), logging.WARNING, "retry", " after=1.000s error=ValueError"),
        (1, Reject("fraud"), logging.ERROR, "dead", " reason=fraud"),
    ],
)
def test_every_attempt_is_one_line_with_its_fields(
    work: Work,
    taskflow_clock: ManualClock,
    caplog: pytest.LogCaptureFixture,
    failures: int,
    error: Exception | None,
    level: int,
    outcome: str,
    more: str,
) -> None:
    failing = Handler(failures, error)

    def handle(event: Event[Any]) -> None:
        taskflow_clock.advance(0.25)
        failing(event)

    worker = work(handle)
    event_id = publish("made", {"card": "4242424242424242"})
    with caplog.at_level(logging.INFO, "taskflow.worker"):
        worker.step()
    (record,) = caplog.records
    fields = {
        "event": event_id,
        "topic": "made",
        "queue": "work",
        "handler": next(iter(worker.registry)).name,
        "attempt": 1,
        "outcome": outcome,
        "seconds": 0.25,
    }
    assert fields.items() <= vars(record).items()
    line = record.getMessage()
    assert line.startswith(" ".join(f"{name}={value}" for name, value in fields.items()) + more)
    assert "\n" not in line
    assert record.levelno == level
    assert (record.exc_info is not None) == (level == logging.ERROR)
    assert "4242" not in caplog.text


def test_a_duplicate_is_logged_as_one(work: Work, caplog: pytest.LogCaptureFixture) -> None:
    worker = work(Handler())
    with caplog.at_level(logging.INFO, "taskflow.worker"):
        for _ in range(2):
            publish("made", 1, id="e1")
            worker.drain()
    assert [vars(record)["outcome"] for record in caplog.records] == ["done", "duplicate"]


def test_a_failure_of_middleware_is_logged_as_the_attempt(
    work: Work, taskflow_broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(context: Context, run: Run) -> Outcome:
        raise OSError("no database")

    registry = work(Handler()).registry
    publish("made", 1)
    Worker(taskflow_broker, registry=registry, middleware=[broken]).step()
    assert "outcome=retry" in caplog.text
    assert "error=OSError: no database" in caplog.text
