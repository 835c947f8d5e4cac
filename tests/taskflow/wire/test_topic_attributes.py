"""Settings of topics and subscriptions as SNS's attributes, and back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.broker.settings import TopicSettings, TopicSubscription
from taskflow.limits import MAX_TOPIC_MESSAGE_BYTES, MIN_MESSAGE_BYTES
from taskflow.wire.subscription_attributes import (
    changed_subscription,
    in_order,
    read_subscription,
    write_subscription,
)
from taskflow.wire.topic_attributes import changed_topic, default_policy, read_topic, write_topic
from tests.taskflow.wire.test_queue_attributes import ARN, NAMES, POLICY, arn_of, name_of

OTHERS = st.dictionaries(
    st.sampled_from(["DisplayName", "DeliveryPolicy", "KmsMasterKeyId", "TracingConfig"]),
    st.text(min_size=1, max_size=5),
)


def settings(fifo: bool) -> st.SearchStrategy[TopicSettings]:
    return st.builds(
        TopicSettings,
        content_based_deduplication=st.booleans() if fifo else st.just(False),
        deduplication_scope=st.sampled_from(["topic", "messageGroup"])
        if fifo
        else st.just("topic"),
        max_message_bytes=st.integers(MIN_MESSAGE_BYTES, MAX_TOPIC_MESSAGE_BYTES),
        signature_version=st.sampled_from([1, 2]),
        policy=st.sampled_from([None, POLICY]),
        others=OTHERS,
    )


NAMED = st.sampled_from(["made", "made.fifo"])
TWO_OF_ONE = NAMED.flatmap(
    lambda name: st.tuples(
        st.just(name), settings(name.endswith(".fifo")), settings(name.endswith(".fifo"))
    )
)
SUBSCRIPTIONS = st.builds(
    TopicSubscription,
    id=st.just("id"),
    topic=st.just("made"),
    protocol=st.just("sqs"),
    endpoint=st.just("work"),
    raw=st.booleans(),
    filter_policy=st.sampled_from([None, '{"a":["b"]}', '{"c":[{"exists":true}]}']),
    filter_scope=st.sampled_from(["MessageAttributes", "MessageBody"]),
    dead_letter_queue=st.none() | NAMES,
    others=st.dictionaries(st.just("SubscriptionRoleArn"), st.just("arn:role")),
)


def read(texts: dict[str, str]) -> TopicSubscription:
    return read_subscription("id", "made", "sqs", arn_of("work"), texts, name_of)


def normal(one: TopicSubscription) -> TopicSubscription:
    """Without a policy the scope says nothing."""
    return one if one.filter_policy else read(write_subscription(one, arn_of))


@given(TWO_OF_ONE)
def test_a_topic_comes_back_as_it_was(topic: tuple[str, TopicSettings, TopicSettings]) -> None:
    name, wanted, before = topic
    assert read_topic(name, write_topic(name, wanted)) == wanted
    after = write_topic(name, before) | changed_topic(name, wanted, before)
    assert read_topic(name, after) == wanted
    assert changed_topic(name, wanted, wanted) == {}


def test_the_policy_that_sns_gives_says_nothing() -> None:
    texts = {"Policy": default_policy(f"{ARN}made", "123456789012")}
    assert read_topic("made", texts) == TopicSettings()
    assert json.loads(texts["Policy"])["Statement"][0]["Resource"] == f"{ARN}made"


@given(SUBSCRIPTIONS, SUBSCRIPTIONS)
def test_a_subscription_comes_back_as_it_was(
    wanted: TopicSubscription, before: TopicSubscription
) -> None:
    texts = write_subscription(wanted, arn_of)
    assert read(texts) == normal(wanted)
    after = write_subscription(before, arn_of) | changed_subscription(wanted, before, arn_of)
    if wanted.filter_policy is None:
        after.pop("FilterPolicyScope", None)
    assert read(after) == normal(wanted)


@given(SUBSCRIPTIONS, SUBSCRIPTIONS)
def test_the_scope_is_set_before_the_policy(
    wanted: TopicSubscription, before: TopicSubscription
) -> None:
    names = list(changed_subscription(wanted, before, arn_of))
    assert "FilterPolicyScope" not in names[1:]


@pytest.mark.parametrize("names", [["FilterPolicy", "FilterPolicyScope"], ["RawMessageDelivery"]])
def test_attributes_are_put_in_the_order_to_set_them(names: list[str]) -> None:
    assert list(in_order(dict.fromkeys(names, "x"))) == sorted(names, reverse=True)
