"""What the subscriptions need of a broker, how it differs from what there is, and declaring it.

Topics, queues, dead-letter queues, subscriptions.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from taskflow.broker import QueueSettings
from taskflow.broker.admin import Admin
from taskflow.broker.settings import TopicSettings, TopicSubscription
from taskflow.entry import Entry
from taskflow.errors import ConfigError, QueueExists, TopicExists
from taskflow.limits import MAX_RECEIVES, MAX_RETENTION, dlq_of
from taskflow.message import new_id
from taskflow.registry import Registry
from taskflow.subscription import Subscription
from taskflow.wire.differences import differences

DEAD_LETTERS = QueueSettings(retention=MAX_RETENTION)
TOPIC = TopicSettings()
ROUND = (10, 30, 100, 300)
NOT_OURS = ("policy", "others")
"""Attributes that code says nothing about (access, encryption): never compared, never changed."""

_APPLY = "`taskflow topology apply` changes it"


@dataclass(frozen=True, slots=True)
class Change:
    """One line of `taskflow topology diff`: the broker lacks it (`+`), has it and code does not
    (`-`), or has it otherwise (`~`)."""

    sign: Literal["+", "-", "~"]
    what: str

    def __str__(self) -> str:
        return f"{self.sign} {self.what}"


def settings_for(registry: Registry, queue: str) -> QueueSettings:
    """The attributes a queue needs for its handlers.

    `max_receives` is the net under `retries`: it catches messages that kill their worker.
    """
    handlers = registry.on(queue)
    return replace(
        QueueSettings(),
        visibility_timeout=handlers[0].visibility_timeout,
        dead_letter_queue=dlq_of(queue),
        max_receives=_max_receives(handlers),
    )


def _max_receives(handlers: Sequence[Entry]) -> int:
    """The net under the retries. Where workers bury what was never finished themselves, it is a
    round number, so that another task on the queue seldom changes it."""
    most = max(found.policy.max_attempts + found.spare_receives for found in handlers)
    if any(found.spare_receives for found in handlers):
        most = next((round for round in ROUND if round >= most), MAX_RECEIVES)
    return min(MAX_RECEIVES, most)


def all_settings(registry: Registry) -> dict[str, QueueSettings]:
    """Every queue that is needed, with its attributes; a dead-letter queue before its queue."""
    found = {}
    for queue in registry.queues():
        found[dlq_of(queue)] = DEAD_LETTERS
        found[queue] = settings_for(registry, queue)
    return found


# ---- declaring ----------------------------------------------------------------------------------
def declare(broker: Admin, registry: Registry, *, apply: bool = False) -> None:
    """Create what is missing. Idempotent, and safe to call from many workers at once.

    What exists with other attributes raises QueueExists (also for a subscription whose filter
    differs) or TopicExists, or, with `apply`, is changed. Nothing is removed. Raises ConfigError
    for a filter that would look into what the registry's codec seals.
    """
    if registry.codec is not None:
        for subscription in registry:
            _check_filter(subscription)
    topics = set(broker.topics()) if apply else set()
    for topic in registry.topics():
        if topic not in topics:
            _create_topic(broker, topic)
        elif differences(found := broker.topic_settings(topic), TOPIC, NOT_OURS):
            broker.set_topic(topic, replace(TOPIC, policy=found.policy, others=found.others))
    queues = set(broker.queues()) if apply else set()
    for queue, settings in all_settings(registry).items():
        if queue not in queues:
            _create_queue(broker, queue, settings)
        elif differences(kept := broker.settings(queue), settings, NOT_OURS):
            broker.set_queue(queue, replace(settings, policy=kept.policy, others=kept.others))
    for subscription in registry:
        _subscribe(broker, subscription, apply)


def _check_filter(subscription: Subscription) -> None:
    """Raise ConfigError for one that asks for parts of a payload, which no broker can read."""
    policy = subscription.filter_policy
    if subscription.filter_scope == "MessageBody" and policy and _asks_for_data(json.loads(policy)):
        raise ConfigError(
            f"the filter of {subscription.name} looks into the payload of {subscription.topic!r}, "
            "which codec= seals: publish what it asks for as attributes=, and filter by these"
        )


def _asks_for_data(policy: Any) -> bool:
    return "data" in policy or any(_asks_for_data(one) for one in policy.get("$or", ()))


def _create_topic(broker: Admin, topic: str) -> None:
    try:
        broker.create_topic(topic)
    except TopicExists as error:
        if differences(broker.topic_settings(topic), TOPIC, NOT_OURS):
            raise TopicExists(f"{error}; {_APPLY}") from error


def _create_queue(broker: Admin, queue: str, settings: QueueSettings) -> None:
    try:
        broker.create_queue(queue, settings)
    except QueueExists as error:
        if differences(broker.settings(queue), settings, NOT_OURS):
            raise QueueExists(f"{error}; {_APPLY}") from error


def _subscribe(broker: Admin, wanted: Subscription, apply: bool) -> None:
    """A filter that somebody set by hand stays, unless code has one too or `apply` is given."""
    if wanted.filter_policy is None and not apply:
        broker.subscribe(wanted.topic, wanted.queue)
        return
    found = _find(broker, wanted)
    if found is None:
        id = new_id(broker.clock.now(), broker.random)
        found = TopicSubscription(id, wanted.topic, "sqs", wanted.queue)
        broker.put_subscription(_as_wanted(found, wanted))
    elif what := subscription_differences(found, wanted):
        if not apply:
            raise QueueExists(
                f"queue {wanted.queue!r} is subscribed to {wanted.topic!r} otherwise: "
                f"{'; '.join(what)}; {_APPLY}"
            )
        broker.put_subscription(_as_wanted(found, wanted))


def _find(broker: Admin, wanted: Subscription) -> TopicSubscription | None:
    for found in broker.subscriptions(wanted.topic):
        if found.protocol == "sqs" and found.endpoint == wanted.queue:
            return found
    return None


def _as_wanted(found: TopicSubscription, wanted: Subscription) -> TopicSubscription:
    scope = wanted.filter_scope if wanted.filter_policy else found.filter_scope
    return replace(found, raw=True, filter_policy=wanted.filter_policy, filter_scope=scope)


# ---- comparing ----------------------------------------------------------------------------------
def subscription_differences(found: TopicSubscription, wanted: Subscription) -> list[str]:
    """How a subscription in a broker differs from the one in code, in words."""
    what = [] if found.raw else ["raw is False, declared as True"]
    if _parsed(found.filter_policy) != _parsed(wanted.filter_policy):
        what.append(f"filter is {found.filter_policy}, declared as {wanted.filter_policy}")
    elif wanted.filter_policy and found.filter_scope != wanted.filter_scope:
        what.append(f"filter_scope is {found.filter_scope}, declared as {wanted.filter_scope}")
    return what


def _parsed(policy: str | None) -> Any:
    """An empty policy lets everything through, as none does."""
    return json.loads(policy) or None if policy else None


def compare(broker: Admin, registry: Registry) -> list[Change]:
    """What code says against what the broker has, in the order topics, queues, subscriptions.

    Of what code does not name only subscriptions of its own queues count: other topics and queues
    may belong to others.
    """
    return [
        *_compare_topics(broker, registry),
        *_compare_queues(broker, registry),
        *_compare_subscriptions(broker, registry),
    ]


# A broker knows best which attributes are as good as equal (AWS has whole seconds only), and what
# exists it does not create: so it is asked as in declaring, and nothing is changed.
def _compare_topics(broker: Admin, registry: Registry) -> Iterator[Change]:
    known = set(broker.topics())
    for topic in registry.topics():
        if topic not in known:
            yield Change("+", f"topic {topic}")
            continue
        try:
            broker.create_topic(topic, TOPIC)
        except TopicExists:
            for what in differences(broker.topic_settings(topic), TOPIC, NOT_OURS):
                yield Change("~", f"topic {topic}: {what}")


def _compare_queues(broker: Admin, registry: Registry) -> Iterator[Change]:
    known = set(broker.queues())
    for queue, settings in sorted(all_settings(registry).items()):
        if queue not in known:
            yield Change("+", f"queue {queue}")
            continue
        try:
            broker.create_queue(queue, settings)
        except QueueExists:
            for what in differences(broker.settings(queue), settings, NOT_OURS):
                yield Change("~", f"queue {queue}: {what}")


def _compare_subscriptions(broker: Admin, registry: Registry) -> Iterator[Change]:
    found = {(one.topic, one.queue): one for one in broker.subscriptions() if one.protocol == "sqs"}
    wanted = {(one.topic, one.queue): one for one in registry}
    ours = set(all_settings(registry))
    for key in sorted(found.keys() | wanted.keys()):
        name = f"subscription {key[0]} → {key[1]}"
        if key not in found:
            yield Change("+", name)
        elif key in wanted:
            for what in subscription_differences(found[key], wanted[key]):
                yield Change("~", f"{name}: {what}")
        elif key[1] in ours:
            yield Change("-", name)
