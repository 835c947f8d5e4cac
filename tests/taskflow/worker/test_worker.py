"""The worker: outcomes become broker verbs."""

from collections.abc import Callable

import pytest

from taskflow import Broker, Registry, Retry, Worker, publish
from taskflow.errors import ConfigError, QueueNotFound
from taskflow.retry import Done
from taskflow.testing import ManualClock
from tests.taskflow.making import FIXED, Handler, failure

Work = Callable[..., Worker]


def test_done_deletes(work: Work, taskflow_broker: Broker) -> None:
    worker = work(Handler())
    publish("made", 1)
    (result,) = worker.step()
    assert result.outcome == Done()
    counts = taskflow_broker.counts("work")
    assert (counts.visible, counts.in_flight, counts.handled) == (0, 0, 1)


def test_a_failure_hides_the_message_for_its_backoff(
    work: Work, taskflow_broker: Broker, taskflow_clock: ManualClock
) -> None:
    worker = work(handler := Handler(failures=1))
    publish("made", 1)
    worker.step()
    assert taskflow_broker.next_due("work") == taskflow_clock.now() + 1.0
    taskflow_clock.advance(0.9)
    assert worker.step() == []
    taskflow_clock.advance(0.1)
    worker.step()
    assert handler.attempts == [1, 2]


@pytest.mark.parametrize("retries", [0, 1, 5])
def test_retries_n_means_n_plus_one_attempts(
    work: Work, taskflow_broker: Broker, taskflow_clock: ManualClock, retries: int
) -> None:
    worker = work(handler := Handler(failures=99), retries=retries, policy=None)
    publish("made", 1)
    for _ in range(retries + 3):
        worker.drain()
        taskflow_clock.advance(3600)
    assert handler.attempts == list(range(1, retries + 2))
    assert failure(taskflow_broker)["attempts"] == retries + 1


def test_retry_asked_for_hides_for_so_long(work: Work, taskflow_broker: Broker) -> None:
    worker = work(Handler(failures=1, error=Retry(after=77)))
    publish("made", 1)
    (result,) = worker.step()
    assert taskflow_broker.next_due("work") == result.ended_at + 77


# ---- duplicates -------------------------------------------------------------------------------
def test_a_finished_event_is_not_handled_again(work: Work, taskflow_broker: Broker) -> None:
    worker = work(handler := Handler())
    for _ in range(2):
        publish("made", 1, id="e1")
        results = worker.drain()
    assert [result.outcome for result in results] == [Done(duplicate=True)]
    assert handler.attempts == [1]
    assert taskflow_broker.counts("work").handled == 2


def test_without_idempotency_it_is_handled_again(work: Work) -> None:
    worker = work(handler := Handler(), idempotent=False)
    for _ in range(2):
        publish("made", 1, id="e1")
        worker.drain()
    assert handler.attempts == [1, 1]


def test_the_same_id_on_another_topic_is_another_event(
    work: Work, taskflow_registry: Registry
) -> None:
    taskflow_registry.subscribe("sold", queue="work", policy=FIXED)(other := Handler())
    worker = work(handler := Handler())
    publish("made", 1, id="e1")
    publish("sold", 1, id="e1")
    worker.drain()
    assert (handler.attempts, other.attempts) == ([1], [1])


def test_a_dead_letter_that_is_redriven_is_handled_again(
    work: Work, taskflow_broker: Broker
) -> None:
    worker = work(handler := Handler(failures=1), retries=0, policy=None)
    publish("made", 1)
    worker.drain()
    taskflow_broker.redrive("work-dlq")
    worker.drain()
    assert handler.attempts == [1, 1]
    assert taskflow_broker.counts("work").handled == 1


# ---- queues -----------------------------------------------------------------------------------
def test_a_queue_without_a_handler_is_refused_with_the_nearest(
    work: Work, taskflow_broker: Broker, taskflow_registry: Registry
) -> None:
    work(Handler())
    with pytest.raises(QueueNotFound, match=r"known: work \(did you mean 'work'\?\)"):
        Worker(taskflow_broker, ["wrok"], registry=taskflow_registry)


def test_a_worker_without_handlers_is_refused(taskflow_broker: Broker) -> None:
    with pytest.raises(ConfigError, match="no subscription was loaded"):
        Worker(taskflow_broker, registry=Registry())


def test_a_worker_leaves_other_queues_alone(
    work: Work, taskflow_broker: Broker, taskflow_registry: Registry
) -> None:
    taskflow_registry.subscribe("made", queue="audit")(audit := Handler())
    work(handler := Handler())
    publish("made", 1)
    Worker(taskflow_broker, ["audit"], registry=taskflow_registry).drain()
    assert (audit.attempts, handler.attempts) == ([1], [])
