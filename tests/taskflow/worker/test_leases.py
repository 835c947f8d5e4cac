"""A worker that comes too late, and messages that kill theirs."""

from collections.abc import Callable

import pytest

from taskflow import Broker, Registry, Reject, Worker, publish
from taskflow.retry import Dead
from taskflow.testing import ManualClock
from tests.taskflow.making import Handler, failure
from tests.taskflow.worker.hands import Hands

Work = Callable[..., Worker]


@pytest.mark.parametrize("handler", [Handler(), Handler(1), Handler(1, Reject("x"))])
def test_a_lost_lease_is_logged_and_changes_nothing(
    work: Work,
    taskflow_broker: Broker,
    taskflow_clock: ManualClock,
    caplog: pytest.LogCaptureFixture,
    handler: Handler,
) -> None:
    hands = Hands(work(handler))
    event_id = publish("made", 1)
    hands.take()
    hands.run()
    taskflow_clock.advance(30)
    assert len(taskflow_broker.receive("work")) == 1, "another worker has it now"
    hands.settler.flush()
    assert f"event={event_id} queue=work lost its lease" in caplog.text
    assert taskflow_broker.counts("work").in_flight == 1


def test_a_message_that_kills_its_worker_stops_at_its_own_handlers_retries(
    work: Work, taskflow_broker: Broker, taskflow_clock: ManualClock, taskflow_registry: Registry
) -> None:
    taskflow_registry.subscribe("patient", queue="work", retries=50)(Handler())
    worker = work(handler := Handler(), retries=1, policy=None)
    publish("made", 1)
    for _ in range(2):  # two workers receive it and die
        assert len(taskflow_broker.receive("work")) == 1
        taskflow_clock.advance(30)
    (result,) = worker.step()
    assert isinstance(result.outcome, Dead)
    assert handler.attempts == []
    record = failure(taskflow_broker)
    assert record["reason"].startswith("started 2 times and never finished")
    assert record["handler"] == "tests.taskflow.making.Handler"
    assert record["attempts"] == 2


def test_outcomes_of_a_batch_are_settled_together(work: Work, taskflow_broker: Broker) -> None:
    def handle(event: str) -> None:
        if event != "done":
            raise {"retry": ValueError, "reject": Reject}[event]("x")

    hands = Hands(work(handle))
    for payload in ("done", "retry", "reject"):
        publish("made", payload)
    hands.take()
    hands.run()
    hands.settler.flush()
    counts = taskflow_broker.counts("work")
    assert (counts.handled, counts.in_flight, counts.dead_lettered) == (1, 1, 1)
