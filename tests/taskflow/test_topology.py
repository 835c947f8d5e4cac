"""What the subscriptions need of a broker."""

from dataclasses import replace

import pytest

from taskflow import Broker, QueueSettings, Registry, RetryPolicy
from taskflow.errors import QueueExists
from taskflow.topology import DEAD_LETTERS, declare, settings_for


def handle(event: object) -> None: ...


@pytest.fixture
def registry(taskflow_registry: Registry) -> Registry:
    taskflow_registry.subscribe("made", "sold", queue="work", retries=5, visibility_timeout=60)(
        handle
    )
    taskflow_registry.subscribe("made", queue="audit")(handle)
    return taskflow_registry


def test_everything_the_handlers_need_is_declared(
    taskflow_broker: Broker, registry: Registry
) -> None:
    declare(taskflow_broker, registry)
    assert taskflow_broker.topics() == ["made", "sold"]
    assert taskflow_broker.queues() == ["audit", "audit-dlq", "work", "work-dlq"]
    assert [(one.topic, one.queue) for one in taskflow_broker.subscriptions()] == [
        ("made", "audit"),
        ("made", "work"),
        ("sold", "work"),
    ]
    assert taskflow_broker.settings("work") == QueueSettings(
        visibility_timeout=60, dead_letter_queue="work-dlq", max_receives=6
    )
    assert taskflow_broker.settings("work-dlq") == DEAD_LETTERS


def test_a_fifo_queue_gets_a_fifo_dlq(taskflow_broker: Broker, taskflow_registry: Registry) -> None:
    taskflow_registry.subscribe("made.fifo", queue="work.fifo", retries=5)(handle)
    for _ in range(2):
        declare(taskflow_broker, taskflow_registry)
    assert taskflow_broker.topics() == ["made.fifo"]
    assert taskflow_broker.queues() == ["work-dlq.fifo", "work.fifo"]
    assert taskflow_broker.settings("work.fifo") == QueueSettings(
        dead_letter_queue="work-dlq.fifo", max_receives=6
    )
    assert taskflow_broker.settings("work-dlq.fifo") == DEAD_LETTERS


def test_declaring_again_changes_nothing(taskflow_broker: Broker, registry: Registry) -> None:
    for _ in range(2):
        declare(taskflow_broker, registry)
    assert len(taskflow_broker.subscriptions()) == 3


def test_the_most_patient_handler_decides_how_often_a_message_may_crash(
    registry: Registry,
) -> None:
    patient = RetryPolicy(retries=1, rules={OSError: RetryPolicy(retries=9)})
    registry.subscribe("lost", queue="work", visibility_timeout=60, policy=patient)(handle)
    assert settings_for(registry, "work").max_receives == 10


def test_a_queue_that_disagrees_is_left_alone_and_the_way_out_is_named(
    taskflow_broker: Broker, registry: Registry
) -> None:
    declare(taskflow_broker, registry)
    before = taskflow_broker.settings("work")
    changed = Registry()
    changed.subscribe("made", queue="work", retries=7, visibility_timeout=60)(handle)
    with pytest.raises(
        QueueExists, match=r"max_receives is 6, declared as 8; `taskflow topology apply` changes it"
    ):
        declare(taskflow_broker, changed)
    assert taskflow_broker.settings("work") == before


def test_apply_changes_queues_that_disagree(taskflow_broker: Broker, registry: Registry) -> None:
    taskflow_broker.create_queue("work", QueueSettings(delay=5))
    declare(taskflow_broker, registry, apply=True)
    assert taskflow_broker.settings("work") == settings_for(registry, "work")


def test_apply_creates_what_is_missing(taskflow_broker: Broker, registry: Registry) -> None:
    declare(taskflow_broker, registry, apply=True)
    assert taskflow_broker.settings("work") == settings_for(registry, "work")


def test_a_dead_letter_queue_of_other_settings_is_refused(
    taskflow_broker: Broker, registry: Registry
) -> None:
    taskflow_broker.create_queue("work-dlq", replace(DEAD_LETTERS, retention=60))
    with pytest.raises(QueueExists, match="'work-dlq' exists with other attributes: retention"):
        declare(taskflow_broker, registry)
