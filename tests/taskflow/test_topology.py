"""What the subscriptions need of a broker."""

from dataclasses import replace

import pytest

from taskflow import Broker, QueueSettings, Registry, RetryPolicy, publish
from taskflow.broker.settings import TopicSettings, TopicSubscription
from taskflow.errors import QueueExists
from taskflow.message import Message
from taskflow.testing import ManualClock
from taskflow.topology import DEAD_LETTERS, compare, declare, settings_for


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


# ---- filters ------------------------------------------------------------------------------------
@pytest.fixture
def filtered(taskflow_registry: Registry) -> Registry:
    taskflow_registry.subscribe("made", queue="work", filter={"shop": ["a"]})(handle)
    return taskflow_registry


def test_a_filter_chooses_what_the_topic_sends(taskflow_broker: Broker, filtered: Registry) -> None:
    for _ in range(2):
        declare(taskflow_broker, filtered)
    assert len(taskflow_broker.subscriptions()) == 1
    for shop in "ab":
        taskflow_broker.publish("made", [Message(shop, "{}", {"shop": shop})])
    assert [one.id for one in taskflow_broker.peek("work")] == ["a"]


def test_a_filter_may_look_into_the_event(
    taskflow_broker: Broker, taskflow_registry: Registry
) -> None:
    rule = {"data": {"total": [{"numeric": [">", 100]}]}}
    taskflow_registry.subscribe("made", queue="work", filter=rule, filter_scope="MessageBody")(
        handle
    )
    declare(taskflow_broker, taskflow_registry)
    for total in (100, 101):
        publish("made", {"total": total}, id=str(total), broker=taskflow_broker)
    assert [one.id for one in taskflow_broker.peek("work")] == ["101"]


def test_another_filter_is_refused_and_apply_changes_it(
    taskflow_broker: Broker, filtered: Registry
) -> None:
    declare(taskflow_broker, filtered)
    changed = Registry()
    changed.subscribe("made", queue="work", filter={"shop": ["b"]})(handle)
    with pytest.raises(QueueExists, match=r"filter is .*\"a\".*, declared as .*\"b\".*; `taskflow"):
        declare(taskflow_broker, changed)
    declare(taskflow_broker, changed, apply=True)
    assert compare(taskflow_broker, changed) == []
    assert len(taskflow_broker.subscriptions()) == 1


def test_a_filter_set_by_hand_stays_until_apply(
    taskflow_broker: Broker, registry: Registry
) -> None:
    declare(taskflow_broker, registry)
    (one, *_) = taskflow_broker.subscriptions("made")
    by_hand = replace(one, filter_policy='{"shop": ["a"]}')
    taskflow_broker.put_subscription(by_hand)
    declare(taskflow_broker, registry)
    assert taskflow_broker.subscriptions("made")[0] == by_hand
    declare(taskflow_broker, registry, apply=True)
    assert taskflow_broker.subscriptions("made")[0] == one


# ---- comparing ----------------------------------------------------------------------------------
def lines(broker: Broker, registry: Registry) -> list[str]:
    return [str(change) for change in compare(broker, registry)]


def test_an_empty_broker_lacks_everything_and_is_left_empty(
    taskflow_broker: Broker, registry: Registry
) -> None:
    assert lines(taskflow_broker, registry) == [
        "+ topic made",
        "+ topic sold",
        "+ queue audit",
        "+ queue audit-dlq",
        "+ queue work",
        "+ queue work-dlq",
        "+ subscription made → audit",
        "+ subscription made → work",
        "+ subscription sold → work",
    ]
    assert taskflow_broker.topics() == taskflow_broker.queues() == []


def test_what_was_declared_does_not_differ(taskflow_broker: Broker, registry: Registry) -> None:
    declare(taskflow_broker, registry)
    assert lines(taskflow_broker, registry) == []


def drift(broker: Broker) -> None:
    """Change a little of everything that `registry` declared."""
    broker.set_topic("sold", TopicSettings(max_message_bytes=2048, policy="{}"))
    broker.set_queue("work", QueueSettings(dead_letter_queue="work-dlq", max_receives=2, delay=1.5))
    broker.set_queue("work-dlq", replace(DEAD_LETTERS, retention=60))
    (audit, work) = broker.subscriptions("made")
    broker.unsubscribe(audit.id)
    broker.put_subscription(replace(work, raw=False, filter_policy='{"shop": ["a"]}'))
    broker.create_topic("lost")
    broker.subscribe("lost", "audit")


def test_each_attribute_that_differs_is_a_line(taskflow_broker: Broker, registry: Registry) -> None:
    declare(taskflow_broker, registry)
    drift(taskflow_broker)
    assert lines(taskflow_broker, registry) == [
        "~ topic sold: max_message_bytes is 2048, declared as 262144",
        "~ queue work: visibility_timeout is 30, declared as 60",
        "~ queue work: delay is 1.5, declared as 0",
        "~ queue work: max_receives is 2, declared as 6",
        "~ queue work-dlq: retention is 60, declared as 1209600",
        "- subscription lost → audit",
        "+ subscription made → audit",
        "~ subscription made → work: raw is False, declared as True",
        '~ subscription made → work: filter is {"shop": ["a"]}, declared as None',
    ]


def test_apply_mends_all_but_what_is_too_much(taskflow_broker: Broker, registry: Registry) -> None:
    declare(taskflow_broker, registry)
    drift(taskflow_broker)
    declare(taskflow_broker, registry, apply=True)
    assert lines(taskflow_broker, registry) == ["- subscription lost → audit"]
    assert taskflow_broker.topic_settings("sold").policy == "{}", "access is not code's affair"


def test_apply_leaves_alone_what_is_right(
    taskflow_broker: Broker, taskflow_clock: ManualClock, registry: Registry
) -> None:
    declare(taskflow_broker, registry)
    made_at = taskflow_clock.now()
    taskflow_clock.advance(60)
    declare(taskflow_broker, registry, apply=True)
    assert {taskflow_broker.describe_topic(one).modified_at for one in registry.topics()} == {
        made_at
    }
    assert {taskflow_broker.describe_queue(one).modified_at for one in registry.queues()} == {
        made_at
    }


def test_what_belongs_to_others_is_no_difference(
    taskflow_broker: Broker, registry: Registry
) -> None:
    declare(taskflow_broker, registry)
    taskflow_broker.create_topic("theirs")
    taskflow_broker.create_queue("theirs")
    taskflow_broker.subscribe("theirs", "theirs")
    taskflow_broker.subscribe("made", "theirs")
    taskflow_broker.put_subscription(
        TopicSubscription("1", "made", "https", "https://example.org/", raw=False)
    )
    assert lines(taskflow_broker, registry) == []


def test_access_and_encryption_are_not_compared(
    taskflow_broker: Broker, registry: Registry
) -> None:
    declare(taskflow_broker, registry)
    wanted = settings_for(registry, "work")
    guarded = replace(wanted, policy="{}", others={"KmsMasterKeyId": "alias/ours"})
    taskflow_broker.set_queue("work", guarded)
    assert lines(taskflow_broker, registry) == []
    declare(taskflow_broker, registry)
    declare(taskflow_broker, registry, apply=True)
    assert taskflow_broker.settings("work") == guarded


def test_a_filter_written_otherwise_is_the_same(
    taskflow_broker: Broker, filtered: Registry
) -> None:
    declare(taskflow_broker, filtered)
    (one,) = taskflow_broker.subscriptions()
    taskflow_broker.put_subscription(replace(one, filter_policy=' {"shop":["a"]}'))
    assert lines(taskflow_broker, filtered) == []
    body = replace(one, filter_scope="MessageBody")
    taskflow_broker.put_subscription(body)
    assert lines(taskflow_broker, filtered) == [
        "~ subscription made → work: filter_scope is MessageBody, declared as MessageAttributes"
    ]
