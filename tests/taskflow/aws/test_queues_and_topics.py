"""Topics, queues and subscriptions on AWS: what is made, what is left alone, who may send."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from typing import Any

import pytest

from taskflow.broker.settings import QueueSettings, TopicSubscription
from taskflow.brokers.aws.broker import AwsBroker
from taskflow.errors import LimitExceeded, QueueExists
from taskflow.message import Message
from taskflow.wire.topic_grants import allow_topic, with_ours, without_ours
from tests.contract.wire import SharedClock, aws_broker

QUEUE = "arn:aws:sqs:us-east-1:000000000000:work"
TOPIC = "arn:aws:sns:us-east-1:000000000000:order-created"
THEIRS = {"Sid": "theirs", "Effect": "Allow", "Principal": "*", "Action": "SQS:*", "Resource": "*"}
FULL = QueueSettings(
    visibility_timeout=7.0,
    delay=2.0,
    retention=3600.0,
    dead_letter_queue="dead.fifo",
    max_receives=4,
    receive_wait=5.0,
    max_message_bytes=2048,
    content_based_deduplication=True,
    deduplication_scope="messageGroup",
    throughput_limit="perMessageGroupId",
    redrive_sources=("a.fifo", "b.fifo"),
    policy=json.dumps({"Version": "2012-10-17", "Statement": [THEIRS]}),
    others={"KmsMasterKeyId": "k"},
)


def policy_of(broker: AwsBroker, queue: str) -> dict[str, Any]:
    texts = broker._directory.attributes(queue, "Policy")
    found: dict[str, Any] = json.loads(texts.get("Policy") or "{}")
    return found


def test_every_setting_is_kept_and_each_difference_named(broker: AwsBroker) -> None:
    for name in ("dead.fifo", "a.fifo", "b.fifo"):
        broker.create_queue(name)
    broker.create_queue("q.fifo", FULL)
    assert broker.settings("q.fifo") == FULL
    broker.create_queue("q.fifo", FULL)
    for one in fields(FULL):
        if one.name not in ("dead_letter_queue", "max_receives", "deduplication_scope"):
            other = replace(FULL, **{one.name: getattr(QueueSettings(), one.name)})
            with pytest.raises(QueueExists, match=f"^[^;]*: {one.name} is [^;]*$"):
                broker.create_queue("q.fifo", other)
    broker.set_queue("q.fifo", QueueSettings())
    assert broker.settings("q.fifo") == QueueSettings()


def test_parts_of_seconds_are_rounded_up_and_agree(broker: AwsBroker) -> None:
    broker.create_queue("q", QueueSettings(visibility_timeout=1.5))
    broker.create_queue("q", QueueSettings(visibility_timeout=1.5))
    assert broker.settings("q").visibility_timeout == 2


def test_a_queue_delays_fifteen_minutes_at_most(broker: AwsBroker) -> None:
    with pytest.raises(LimitExceeded, match="delay is 901 s; SQS allows 900"):
        broker.create_queue("q", QueueSettings(delay=901))


def test_declaring_what_is_there_changes_nothing(
    broker: AwsBroker, queue: str, requests: Counter[str]
) -> None:
    broker.create_topic("order.created")
    broker.create_queue(queue, broker.settings(queue))
    broker.subscribe("order.created", queue)
    writing = {"CreateTopic", "CreateQueue", "SetQueueAttributes", "SetSubscriptionAttributes"}
    assert not writing & set(requests)


# ---- who may send ---------------------------------------------------------------------------
def test_just_the_topic_may_send(broker: AwsBroker, queue: str) -> None:
    (statement,) = policy_of(broker, queue)["Statement"]
    statement.pop("Sid")
    assert statement == {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": QUEUE,
        "Condition": {"ArnEquals": {"aws:SourceArn": TOPIC}},
    }
    assert broker.settings(queue).policy is None, "our own statements are nobody's setting"


def test_what_others_may_is_left_to_them(broker: AwsBroker) -> None:
    theirs = json.dumps({"Version": "2012-10-17", "Statement": [THEIRS]})
    wanted = QueueSettings(policy=theirs)
    broker.create_queue("q", wanted)
    broker.create_topic("made")
    broker.subscribe("made", "q")
    assert [one["Sid"][:8] for one in policy_of(broker, "q")["Statement"]] == ["theirs", "taskflow"]
    assert broker.settings("q") == wanted
    broker.create_queue("q", wanted)
    broker.set_queue("q", QueueSettings())
    assert [one["Sid"][:8] for one in policy_of(broker, "q")["Statement"]] == ["taskflow"]


def test_statements_are_merged_by_their_names() -> None:
    one = allow_topic(None, QUEUE, TOPIC)
    assert allow_topic(one, QUEUE, TOPIC) is None
    other = allow_topic(one, QUEUE, TOPIC.replace("order-created", "ordercreated"))
    assert other is not None
    assert len({found["Sid"] for found in json.loads(other)["Statement"]}) == 2
    assert without_ours(other) is None
    assert with_ours(None, other) is not None
    assert len(json.loads(with_ours(None, other) or "")["Statement"]) == 2


def test_a_statement_lost_to_somebody_else_is_put_again(broker: AwsBroker, queue: str) -> None:
    """SQS replaces the whole policy: another worker may have done so in between."""
    broker.create_topic("other")
    (before,) = policy_of(broker, queue)["Statement"]
    undone: list[str] = []

    def undo(params: dict[str, Any], **_: Any) -> None:
        if not undone and b"ordercreated" not in params["body"]:
            undone.append("x")
            params["body"] = json.dumps(
                {
                    **json.loads(params["body"]),
                    "Attributes": {"Policy": json.dumps({"Statement": [before]})},
                }
            ).encode()

    del before["Sid"]
    sqs = broker.api.client("sqs")
    sqs.meta.events.register("before-call.sqs.SetQueueAttributes", undo)
    broker.subscribe("other", queue)
    assert "other" in json.dumps(policy_of(broker, queue))


def test_workers_that_start_at_once_agree(broker: AwsBroker) -> None:
    def declare(n: int) -> None:
        broker.create_topic("made")
        broker.create_queue("q-dlq")
        broker.create_queue("q", QueueSettings(dead_letter_queue="q-dlq", max_receives=2))
        broker.subscribe("made", "q")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(declare, range(16)))
    assert len(broker.subscriptions("made")) == 1
    assert len(policy_of(broker, "q")["Statement"]) == 1


def test_a_filtered_subscription_stays_as_it_is(broker: AwsBroker, queue: str) -> None:
    filtered = TopicSubscription(
        "s", "order.created", "sqs", queue, filter_policy='{"colour": ["red"]}'
    )
    broker.put_subscription(filtered)
    broker.subscribe("order.created", queue)
    broker.publish("order.created", [Message("1", "x", {"colour": c}) for c in ("red",)])
    broker.publish("order.created", [Message("2", "x")])
    assert [one.id for one in broker.receive(queue, limit=10)] == ["1"]
    assert broker.subscriptions()[0].filter_policy == '{"colour": ["red"]}'


def test_a_subscription_in_envelopes_is_refused(broker: AwsBroker) -> None:
    broker.create_topic("made")
    broker.create_queue("q")
    broker.put_subscription(TopicSubscription("s", "made", "sqs", "q", raw=False))
    with pytest.raises(LimitExceeded, match="without raw delivery"):
        broker.subscribe("made", "q")


def test_a_prefix_keeps_two_apart(clock: SharedClock) -> None:
    address = "aws://us-east-1?endpoint=http://localhost:9324&prefix=test-"
    with aws_broker(clock, address) as broker:
        sqs, sns = broker.api.client("sqs"), broker.api.client("sns")
        sqs.create_queue(QueueName="other")
        sns.create_topic(Name="other")
        broker.create_topic("order.created")
        broker.create_queue("work")
        broker.subscribe("order.created", "work")
        assert (broker.topics(), broker.queues()) == (["order.created"], ["work"])
        broker.publish("order.created", [Message("1", "x")])
        (one,) = broker.receive("work")
        assert (one.topic, one.queue) == ("order.created", "work")
        assert sqs.get_queue_url(QueueName="test-work")["QueueUrl"].endswith("/test-work")
