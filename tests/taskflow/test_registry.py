"""Subscriptions: what is kept, and what is refused at import."""

from functools import partial
from typing import Any

import pytest

from taskflow import Registry, RetryPolicy, subscribe
from taskflow.errors import RegistrationError
from taskflow.registry import default_registry


def handle(event: dict[str, Any]) -> None: ...
def other(event: dict[str, Any]) -> None: ...


@pytest.fixture
def registry() -> Registry:
    return Registry()


def test_the_function_comes_back_unchanged(registry: Registry) -> None:
    assert registry.subscribe("made", queue="work")(handle) is handle


def test_a_subscription_keeps_what_was_said(registry: Registry) -> None:
    registry.subscribe(
        "made", queue="work", retries=5, backoff=0.5, timeout=9, window=60, visibility_timeout=10
    )(handle)
    (found,) = registry
    assert (found.topic, found.queue, found.handler) == ("made", "work", handle)
    assert found.name == f"{__name__}.handle"
    assert found.policy == RetryPolicy(retries=5, backoff=0.5)
    assert (found.timeout, found.window, found.visibility_timeout) == (9, 60, 10)
    assert found.policy.max_attempts == 6


def test_the_defaults(registry: Registry) -> None:
    registry.subscribe("made", queue="work")(handle)
    (found,) = registry
    assert (found.policy, found.policy.max_attempts) == (RetryPolicy(retries=3, backoff=1.0), 4)
    assert (found.timeout, found.window, found.visibility_timeout) == (300, 3600, 30)


def test_a_rule_may_allow_more_attempts_than_its_policy(registry: Registry) -> None:
    policy = RetryPolicy(retries=1, rules={OSError: RetryPolicy(retries=7), KeyError: None})
    registry.subscribe("made", queue="work", policy=policy)(handle)
    assert next(iter(registry)).policy.max_attempts == 8


def test_a_handler_that_is_not_idempotent_remembers_nothing(registry: Registry) -> None:
    registry.subscribe("made", queue="work", idempotent=False)(handle)
    assert next(iter(registry)).window == 0


def test_one_handler_may_take_several_topics(registry: Registry) -> None:
    registry.subscribe("made", "sold", queue="work")(handle)
    assert registry.topics() == ["made", "sold"]
    assert {one.handler for one in registry} == {handle}


def test_a_queue_may_have_a_handler_for_each_topic(registry: Registry) -> None:
    registry.subscribe("made", queue="work")(handle)
    registry.subscribe("sold", queue="work")(other)
    assert registry.queues() == ["work"]
    found = [registry.find("work", topic) for topic in ("made", "sold", "lost")]
    assert [one and one.handler for one in found] == [handle, other, None]


def test_a_topic_may_have_several_queues(registry: Registry) -> None:
    registry.subscribe("made", queue="work")(handle)
    registry.subscribe("made", queue="audit")(handle)
    assert (registry.queues(), registry.topics(), len(registry)) == (["audit", "work"], ["made"], 2)
    assert [one.queue for one in registry.on("audit")] == ["audit"]


def test_a_second_handler_for_a_topic_on_a_queue_is_refused(registry: Registry) -> None:
    registry.subscribe("made", queue="work")(handle)
    with pytest.raises(RegistrationError) as caught:
        registry.subscribe("made", queue="work")(other)
    assert str(caught.value) == (
        f"queue 'work' has a handler for 'made' already: {__name__}.handle; give {__name__}.other "
        "a queue of its own, so that both receive every event"
    )


def test_a_module_that_is_reloaded_replaces_its_handlers(registry: Registry) -> None:
    registry.subscribe("made", queue="work")(handle)

    def again(event: object) -> None: ...

    again.__qualname__ = "handle"
    registry.subscribe("made", queue="work", retries=9)(again)
    (found,) = registry
    assert (found.handler, found.policy.retries) == (again, 9)


def test_handlers_of_one_queue_agree_on_its_visibility_timeout(registry: Registry) -> None:
    registry.subscribe("made", queue="work")(handle)
    with pytest.raises(
        RegistrationError, match=r"one visibility_timeout: .*handle says 30, .*other says 60"
    ):
        registry.subscribe("sold", queue="work", visibility_timeout=60)(other)


def test_a_partial_is_named_after_its_function(registry: Registry) -> None:
    def both(event: object, left: int) -> None: ...

    registry.subscribe("made", queue="work")(partial(both, left=1))
    assert next(iter(registry)).name.endswith("both")


@pytest.mark.parametrize(
    ("topics", "options", "message"),
    [
        ([], {}, "names no topic; example: 'order.created'"),
        (["order-created"], {}, r"topic 'order-created': .*no '-' \(example: order.created\)"),
        ([["made"]], {}, r"topic \['made'\]: letters"),
        ([handle], {}, "topic <function handle"),
        (["made"], {"queue": "a.b"}, "queue 'a.b': letters, digits"),
        (["made"], {"queue": None}, "queue None"),
        (["made"], {"queue": "work-dlq"}, "names in -dlq belong to dead-letter queues"),
        (["made"], {"queue": "q" * 77}, "is too long by 1: its dead-letter queue"),
        (["made.fifo"], {"queue": "q" * 72 + ".fifo"}, "too long by 1: .* is named q+-dlq.fifo,"),
        (["made.fifo"], {"queue": "work-dlq.fifo"}, "names in -dlq belong to dead-letter queues"),
        (
            ["sold.fifo", "made"],
            {"queue": "work.fifo"},
            "queue 'work.fifo' is FIFO and topic 'made' is not, .* publish to a topic 'made.fifo' "
            "with a group, or name the queue 'work'",
        ),
        (["made"], {"retry": 3}, "does not know 'retry'; it knows queue, retries, backoff"),
        (["made"], {"retries": -1}, "retries is -1; a whole number from 0"),
        (["made"], {"retries": "5"}, "retries is '5'"),
        (["made"], {"backoff": -1}, "backoff is -1"),
        (["made"], {"retries": 1, "policy": RetryPolicy()}, "give retries and backoff, or policy"),
        (["made"], {"backoff": 1, "policy": RetryPolicy()}, "not both"),
        (["made"], {"policy": 3}, "policy is 3; a RetryPolicy"),
        (["made"], {"filter": {"shop": "a"}}, r"filter is \{'shop': 'a'\}: .*must be an object"),
        (["made"], {"filter": {"shop": [object()]}}, "filter is .*not JSON serializable"),
        (["made"], {"filter": {}, "filter_scope": "Body"}, "filter_scope is 'Body'; 'MessageAttr"),
        (["made"], {"timeout": 0}, "timeout is 0; seconds above 0, or None"),
        (["made"], {"timeout": "5"}, "timeout is '5'"),
        (["made"], {"timeout": float("nan")}, "timeout is nan"),
        (["made"], {"window": 0}, "window is 0; .*idempotent=False switches it off"),
        (["made"], {"window": 14 * 86400 + 1}, "1.2096e.06 at most"),
        (["made"], {"window": "1h"}, "window is '1h'"),
        (["made"], {"visibility_timeout": 0}, "visibility_timeout is 0 s; 1 to 43200"),
        (["made"], {"visibility_timeout": "30"}, "visibility_timeout is '30'; a number"),
    ],
)
def test_what_cannot_be_is_refused_with_the_way_out(
    registry: Registry, topics: list[Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(RegistrationError, match=message):
        registry.subscribe(*topics, **{"queue": "work", **options})
    assert len(registry) == 0


def test_a_queue_may_be_as_long_as_its_dead_letter_queue_allows(registry: Registry) -> None:
    registry.subscribe("made", queue="q" * 76)(handle)
    assert registry.queues() == ["q" * 76]


@pytest.mark.parametrize("queue", ["work.fifo", "work"])
def test_a_fifo_topic_may_feed_both_kinds_of_queue(registry: Registry, queue: str) -> None:
    registry.subscribe("made.fifo", queue=queue)(handle)
    assert [(one.topic, one.queue) for one in registry] == [("made.fifo", queue)]


def test_the_public_subscribe_fills_the_default_registry() -> None:
    assert subscribe == default_registry.subscribe
