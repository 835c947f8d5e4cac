"""Subscriptions over the wire: made, confirmed, listed, changed, removed."""

import json
from typing import Any

import pytest

from taskflow.broker import Broker
from taskflow.broker.settings import TopicSubscription
from taskflow.server.wire_call import Caller
from taskflow.testing import ManualClock
from tests.taskflow.server.test_sns_topics import ARN, refusal
from tests.taskflow.server.wire import Run, ask, get, make_app, make_scope

QUEUE = "arn:aws:sqs:us-east-1:000000000000:audit"
POLICY = '{"kind": ["a"]}'
REDRIVE = json.dumps({"deadLetterTargetArn": QUEUE.replace("audit", "dead")})


@pytest.fixture
def topic(sns: Any) -> str:
    """The ARN of a standard topic, `orders`."""
    return str(sns.create_topic(Name="orders")["TopicArn"])


@pytest.fixture
def fifo_topic(sns: Any) -> str:
    """The ARN of a FIFO topic, `orders.fifo`."""
    made = sns.create_topic(Name="orders.fifo", Attributes={"FifoTopic": "true"})
    return str(made["TopicArn"])


@pytest.fixture
def queues(taskflow_broker: Broker) -> None:
    """The queues `audit`, `audit.fifo`, and two for dead letters."""
    for name in ("audit", "audit.fifo", "dead", "dead.fifo"):
        taskflow_broker.create_queue(name)


@pytest.fixture
def arn(sns: Any, topic: str, queues: None) -> str:
    """The ARN of a subscription of the queue `audit` to `orders`."""
    made = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=QUEUE)
    return str(made["SubscriptionArn"])


def attributes(sns: Any, arn: str) -> dict[str, str]:
    """What GetSubscriptionAttributes answers."""
    return dict(sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"])


# ---- subscribe ----------------------------------------------------------------------------------
def test_a_queue_is_subscribed_at_once(
    sns: Any, topic: str, arn: str, taskflow_broker: Broker
) -> None:
    (stored,) = taskflow_broker.subscriptions("orders")
    assert arn == f"{topic}:{stored.id}"
    assert (stored.protocol, stored.endpoint, stored.raw) == ("sqs", "audit", False)
    assert attributes(sns, arn) == {
        "SubscriptionArn": arn,
        "TopicArn": topic,
        "Owner": "000000000000",
        "SubscriptionPrincipal": "arn:aws:iam::000000000000:root",
        "Protocol": "sqs",
        "Endpoint": QUEUE,
        "RawMessageDelivery": "false",
        "PendingConfirmation": "false",
        "ConfirmationWasAuthenticated": "true",
    }


def test_every_attribute_finds_its_field(
    sns: Any, topic: str, queues: None, taskflow_broker: Broker
) -> None:
    sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=QUEUE,
        Attributes={
            "RawMessageDelivery": "true",
            "FilterPolicy": '{"a": {"b": ["c"]}}',
            "FilterPolicyScope": "MessageBody",
            "RedrivePolicy": REDRIVE,
            "SubscriptionRoleArn": "arn:aws:iam::000000000000:role/r",
        },
    )
    (stored,) = taskflow_broker.subscriptions("orders")
    assert stored == TopicSubscription(
        stored.id,
        "orders",
        "sqs",
        "audit",
        raw=True,
        filter_policy='{"a": {"b": ["c"]}}',
        filter_scope="MessageBody",
        dead_letter_queue="dead",
        others={
            "ConfirmationWasAuthenticated": "true",
            "SubscriptionRoleArn": "arn:aws:iam::000000000000:role/r",
        },
    )


def test_a_queue_of_another_region_is_stored_under_it(
    sns: Any, topic: str, taskflow_broker: Broker
) -> None:
    endpoint = QUEUE.replace("us-east-1", "eu-west-1")
    arn = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=endpoint)["SubscriptionArn"]
    assert taskflow_broker.subscriptions("orders")[0].endpoint == "eu-west-1/audit"
    assert attributes(sns, arn)["Endpoint"] == endpoint


@pytest.mark.parametrize(
    "again",
    [
        {},
        {"RawMessageDelivery": "false"},
        {"FilterPolicy": POLICY},
        {"FilterPolicyScope": "MessageAttributes"},
    ],
)
def test_subscribing_again_answers_the_same(
    sns: Any, topic: str, queues: None, again: dict[str, str]
) -> None:
    call = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": QUEUE}
    first = sns.subscribe(**call, Attributes={"FilterPolicy": POLICY})["SubscriptionArn"]
    assert sns.subscribe(**call, Attributes=again)["SubscriptionArn"] == first
    assert attributes(sns, first)["FilterPolicy"] == POLICY


def test_subscribing_again_otherwise_is_refused(sns: Any, topic: str, arn: str) -> None:
    found = refusal(
        sns.subscribe,
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=QUEUE,
        Attributes={"RawMessageDelivery": "true"},
    )
    assert found == (
        "InvalidParameter",
        "Invalid parameter: Attributes Reason: Subscription already exists with different "
        "attributes",
        400,
    )
    assert attributes(sns, arn)["RawMessageDelivery"] == "false"


@pytest.mark.parametrize(
    ("protocol", "endpoint", "message"),
    [
        ("email", "a@b.c", "Protocol Reason: email is not supported by this server"),
        ("lambda", "arn:aws:lambda:x", "Protocol Reason: lambda is not supported by this server"),
        ("pigeon", "x", "Amazon SNS does not support this protocol string: pigeon"),
        ("sqs", "http://localhost:9324/000000000000/audit", "SQS endpoint ARN"),
        ("sqs", "arn:aws:sns:us-east-1:000000000000:audit", "SQS endpoint ARN"),
        ("sqs", "arn:aws:sqs:us-east-1:111111111111:audit", "SQS endpoint ARN"),
        ("sqs", "arn:aws:sqs:us-east-1:000000000000:no good", "SQS endpoint ARN"),
        ("http", "https://example.com", "Endpoint must match the specified protocol"),
        ("https", "example.com", "Endpoint must match the specified protocol"),
        ("http", "http://", "Endpoint must match the specified protocol"),
        ("http", "http://a:b", "Endpoint must match the specified protocol"),
        (
            "sqs",
            QUEUE + ".fifo",
            "Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to "
            "standard SNS topics",
        ),
    ],
)
def test_an_endpoint_is_refused(
    sns: Any, topic: str, protocol: str, endpoint: str, message: str
) -> None:
    found = refusal(sns.subscribe, TopicArn=topic, Protocol=protocol, Endpoint=endpoint)
    assert found == ("InvalidParameter", f"Invalid parameter: {message}", 400)


def test_an_unknown_topic_is_not_found(sns: Any, queues: None) -> None:
    found = refusal(sns.subscribe, TopicArn=ARN + "x", Protocol="sqs", Endpoint=QUEUE)
    assert found == ("NotFound", "Topic does not exist", 404)


def test_a_fifo_topic_takes_queues_of_both_kinds_but_no_url(
    sns: Any, fifo_topic: str, queues: None
) -> None:
    for endpoint in (QUEUE, QUEUE + ".fifo"):
        sns.subscribe(TopicArn=fifo_topic, Protocol="sqs", Endpoint=endpoint)
    found = refusal(sns.subscribe, TopicArn=fifo_topic, Protocol="http", Endpoint="http://x")
    assert found[1].endswith("Endpoint Reason: Please use FIFO SQS queue")


def test_a_topic_of_large_messages_takes_100_queues_and_no_url(
    sns: Any, topic: str, taskflow_broker: Broker
) -> None:
    sns.set_topic_attributes(
        TopicArn=topic, AttributeName="MaximumMessageSize", AttributeValue="1048576"
    )
    call = {"TopicArn": topic, "Protocol": "http", "Endpoint": "http://x"}
    assert "must be an Amazon SQS subscription" in refusal(sns.subscribe, **call)[1]
    for i in range(100):
        taskflow_broker.put_subscription(TopicSubscription(f"{i}", "orders", "sqs", f"q{i}"))
    call = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": QUEUE}
    assert "100 or fewer subscriptions" in refusal(sns.subscribe, **call)[1]


WRONG = [
    (
        "FilterPolicyScope",
        "Body",
        "FilterPolicyScope: Invalid value [Body]. Please use either "
        "MessageBody or MessageAttributes",
    ),
    ("FilterPolicy", "{", "FilterPolicy: failed to parse JSON."),
    (
        "FilterPolicy",
        json.dumps({f"k{i}": ["v"] for i in range(6)}),
        "FilterPolicy: Filter policy can not have more than 5 keys",
    ),
    (
        "RawMessageDelivery",
        "yes",
        "RawMessageDelivery: Invalid value [yes]. Must be true or false.",
    ),
    ("RedrivePolicy", "[]", "RedrivePolicy: failed to parse JSON."),
    (
        "RedrivePolicy",
        '{"deadLetterTargetArn": "dead"}',
        "RedrivePolicy: deadLetterTargetArn is an invalid arn",
    ),
    (
        "RedrivePolicy",
        json.dumps({"deadLetterTargetArn": QUEUE + ".fifo"}),
        "RedrivePolicy: must use a FIFO queue as DLQ for a FIFO Subscription to a FIFO Topic, and "
        "a standard queue for others.",
    ),
    ("DeliveryPolicy", "{}", "DeliveryPolicy: only HTTP and HTTPS have one"),
    ("ReplayPolicy", "{}", "ReplayPolicy Reason: archives are not supported here"),
]


@pytest.mark.parametrize(("name", "text", "message"), WRONG)
def test_an_attribute_is_refused(
    sns: Any, topic: str, arn: str, name: str, text: str, message: str
) -> None:
    before = attributes(sns, arn)
    call = {"SubscriptionArn": arn, "AttributeName": name, "AttributeValue": text}
    assert refusal(sns.set_subscription_attributes, **call) == (
        "InvalidParameter",
        f"Invalid parameter: {message}",
        400,
    )
    assert attributes(sns, arn) == before
    other = QUEUE.replace("audit", "dead")
    call = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": other}
    assert refusal(sns.subscribe, **call, Attributes={name: text}) == (
        "InvalidParameter",
        f"Invalid parameter: Attributes Reason: {message}",
        400,
    )
    assert len(sns.list_subscriptions()["Subscriptions"]) == 1


def test_a_nested_policy_fits_the_body_only(sns: Any, topic: str, arn: str) -> None:
    nested = '{"a": {"b": ["c"]}}'
    text = (
        "Invalid parameter: Filter policy scope MessageAttributes does not support nested filter "
        "policy"
    )
    call = {"SubscriptionArn": arn, "AttributeName": "FilterPolicy", "AttributeValue": nested}
    assert refusal(sns.set_subscription_attributes, **call)[1] == text
    other = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": QUEUE.replace("audit", "dead")}
    assert refusal(sns.subscribe, **other, Attributes={"FilterPolicy": nested})[1] == text
    sns.set_subscription_attributes(
        SubscriptionArn=arn, AttributeName="FilterPolicyScope", AttributeValue="MessageBody"
    )
    sns.set_subscription_attributes(**call)
    assert attributes(sns, arn)["FilterPolicy"] == nested


@pytest.mark.parametrize("name", ["Owner", "TopicArn", "FilterPolicyLimits"])
def test_an_unknown_attribute_cannot_be_set(sns: Any, topic: str, arn: str, name: str) -> None:
    call = {"SubscriptionArn": arn, "AttributeName": name, "AttributeValue": "x"}
    found = refusal(sns.set_subscription_attributes, **call)
    assert found[1] == "Invalid parameter: AttributeName"
    call = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": QUEUE}
    found = refusal(sns.subscribe, **call, Attributes={name: "x"})
    assert found[1] == f"Invalid parameter: Attributes Reason: Unknown attribute: {name}"


@pytest.mark.parametrize(
    ("name", "text", "empty"),
    [
        ("FilterPolicy", POLICY, ""),
        ("FilterPolicy", POLICY, "{}"),
        ("RedrivePolicy", REDRIVE, ""),
        ("RedrivePolicy", REDRIVE, "{}"),
        ("SubscriptionRoleArn", "arn:aws:iam::000000000000:role/r", ""),
        ("RawMessageDelivery", "true", "false"),
    ],
)
def test_an_attribute_is_set_and_taken_back(
    sns: Any, arn: str, name: str, text: str, empty: str
) -> None:
    before = attributes(sns, arn)
    call = {"SubscriptionArn": arn, "AttributeName": name}
    sns.set_subscription_attributes(**call, AttributeValue=text)
    assert attributes(sns, arn)[name] == text
    sns.set_subscription_attributes(**call, AttributeValue=empty)
    assert attributes(sns, arn) == before


# ---- URLs ---------------------------------------------------------------------------------------
URL = "https://example.com/hook"


def test_a_url_is_asked_first(sns: Any, topic: str, taskflow_broker: Broker) -> None:
    call = {"TopicArn": topic, "Protocol": "https", "Endpoint": URL}
    assert sns.subscribe(**call)["SubscriptionArn"] == "pending confirmation"
    (stored,) = taskflow_broker.subscriptions("orders")
    assert stored.pending
    assert stored.token is not None
    assert len(stored.token) >= 64
    (asked,) = taskflow_broker.peek(stored.queue)
    assert asked.topic == ""
    (listed,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert listed["SubscriptionArn"] == "PendingConfirmation"
    again = sns.subscribe(**call, ReturnSubscriptionArn=True)["SubscriptionArn"]
    assert again == f"{topic}:{stored.id}"
    assert attributes(sns, again)["PendingConfirmation"] == "true"
    assert stored.token not in str(attributes(sns, again))


def test_a_pending_url_gets_nothing(sns: Any, topic: str, taskflow_broker: Broker) -> None:
    sns.subscribe(TopicArn=topic, Protocol="https", Endpoint=URL)
    sns.publish(TopicArn=topic, Message="hello")
    (stored,) = taskflow_broker.subscriptions("orders")
    assert [one.topic for one in taskflow_broker.peek(stored.queue)] == [""]


def test_the_token_confirms_once_and_for_all(sns: Any, topic: str, taskflow_broker: Broker) -> None:
    sns.subscribe(TopicArn=topic, Protocol="https", Endpoint=URL)
    (stored,) = taskflow_broker.subscriptions("orders")
    call = {"TopicArn": topic, "Token": "0" * 128}
    found = refusal(sns.confirm_subscription, **call)
    assert found == ("InvalidParameter", "Invalid parameter: Token", 400)
    for _ in range(2):
        arn = sns.confirm_subscription(TopicArn=topic, Token=stored.token)["SubscriptionArn"]
        assert arn == f"{topic}:{stored.id}"
    shown = attributes(sns, arn)
    assert shown["PendingConfirmation"] == "false"
    assert shown["ConfirmationWasAuthenticated"] == "true"
    assert "EffectiveDeliveryPolicy" in shown


def test_the_token_of_another_topic_confirms_nothing(
    sns: Any, topic: str, taskflow_broker: Broker
) -> None:
    sns.subscribe(TopicArn=topic, Protocol="https", Endpoint=URL)
    (stored,) = taskflow_broker.subscriptions("orders")
    other = sns.create_topic(Name="other")["TopicArn"]
    call = {"TopicArn": other, "Token": stored.token}
    assert refusal(sns.confirm_subscription, **call)[1] == "Invalid parameter: Token"
    call = {"TopicArn": ARN + "nothing", "Token": stored.token}
    assert refusal(sns.confirm_subscription, **call)[1] == "Invalid parameter: Token"


def test_links_in_messages_confirm_and_unsubscribe(
    sns: Any, app: Any, topic: str, taskflow_broker: Broker
) -> None:
    sns.subscribe(TopicArn=topic, Protocol="https", Endpoint=URL)
    (stored,) = taskflow_broker.subscriptions("orders")
    query = f"Action=ConfirmSubscription&TopicArn={topic}&Token={stored.token}"
    answer = get(app, "/", query)
    assert (answer.status, answer.xml["SubscriptionArn"]) == (200, f"{topic}:{stored.id}")
    assert not taskflow_broker.subscriptions("orders")[0].pending
    answer = get(app, "/", f"Action=Unsubscribe&SubscriptionArn={topic}:{stored.id}")
    assert answer.status == 200
    assert taskflow_broker.subscriptions("orders") == []


@pytest.mark.parametrize(("asked", "status", "left"), [("true", 403, 1), ("false", 200, 0)])
def test_who_confirms_may_keep_strangers_from_unsubscribing(
    sns: Any,
    actions: Any,
    run: Run[Any],
    topic: str,
    taskflow_broker: Broker,
    asked: str,
    status: int,
    left: int,
) -> None:
    sns.subscribe(TopicArn=topic, Protocol="https", Endpoint=URL)
    (stored,) = taskflow_broker.subscriptions("orders")
    arn = sns.confirm_subscription(
        TopicArn=topic, Token=stored.token, AuthenticateOnUnsubscribe=asked
    )["SubscriptionArn"]
    stranger = Caller("000000000000", "arn:aws:iam::000000000000:root")
    app = make_app(actions, authorize=lambda *_: stranger)
    answer = run(ask(app, make_scope("GET", "/", f"Action=Unsubscribe&SubscriptionArn={arn}")))
    assert answer.status == status
    assert len(taskflow_broker.subscriptions("orders")) == left
    sns.unsubscribe(SubscriptionArn=arn)
    assert taskflow_broker.subscriptions("orders") == []


def test_a_stranger_confirms_with_the_token(
    sns: Any, actions: Any, run: Run[Any], topic: str, taskflow_broker: Broker
) -> None:
    sns.subscribe(TopicArn=topic, Protocol="https", Endpoint=URL)
    (stored,) = taskflow_broker.subscriptions("orders")
    stranger = Caller("000000000000", "arn:aws:iam::000000000000:root")
    app = make_app(actions, authorize=lambda *_: stranger)
    query = f"Action=ConfirmSubscription&TopicArn={topic}&Token={stored.token}"
    assert run(ask(app, make_scope("GET", "/", query))).status == 200
    shown = attributes(sns, f"{topic}:{stored.id}")
    assert shown["ConfirmationWasAuthenticated"] == "false"


def test_a_delivery_policy_holds_before_the_topics(sns: Any, topic: str) -> None:
    sns.set_topic_attributes(
        TopicArn=topic,
        AttributeName="DeliveryPolicy",
        AttributeValue='{"http":{"defaultHealthyRetryPolicy":{"numRetries":7}}}',
    )
    arn = sns.subscribe(TopicArn=topic, Protocol="https", Endpoint=URL, ReturnSubscriptionArn=True)[
        "SubscriptionArn"
    ]

    def retries() -> int:
        shown = json.loads(attributes(sns, arn)["EffectiveDeliveryPolicy"])
        return int(shown["healthyRetryPolicy"]["numRetries"])

    assert retries() == 7
    sns.set_subscription_attributes(
        SubscriptionArn=arn,
        AttributeName="DeliveryPolicy",
        AttributeValue='{"healthyRetryPolicy":{"numRetries":2}}',
    )
    assert retries() == 2
    sns.set_topic_attributes(
        TopicArn=topic,
        AttributeName="DeliveryPolicy",
        AttributeValue='{"http":{"disableSubscriptionOverrides":true}}',
    )
    assert retries() == 3


# ---- unsubscribe --------------------------------------------------------------------------------
def test_unsubscribing_is_idempotent(sns: Any, topic: str, arn: str) -> None:
    for _ in range(2):
        sns.unsubscribe(SubscriptionArn=arn)
    assert sns.list_subscriptions()["Subscriptions"] == []
    found = refusal(sns.get_subscription_attributes, SubscriptionArn=arn)
    assert found == ("NotFound", "Subscription does not exist", 404)


def test_the_queue_of_an_unsubscribed_url_is_gone(
    sns: Any, topic: str, taskflow_broker: Broker
) -> None:
    call = {"TopicArn": topic, "Protocol": "https", "Endpoint": URL}
    arn = sns.subscribe(**call, ReturnSubscriptionArn=True)["SubscriptionArn"]
    sns.unsubscribe(SubscriptionArn=arn)
    assert taskflow_broker.subscriptions() == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", "SubscriptionArn Reason: An ARN must have at least 6 elements, not 1"),
        (ARN + "orders", "SubscriptionId"),
        (ARN + "orders:1:2", "SubscriptionId"),
    ],
)
@pytest.mark.parametrize("verb", ["unsubscribe", "get_subscription_attributes"])
def test_what_is_no_subscription_is_refused(sns: Any, verb: str, text: str, message: str) -> None:
    found = refusal(getattr(sns, verb), SubscriptionArn=text)
    assert found == ("InvalidParameter", f"Invalid parameter: {message}", 400)


# ---- list ---------------------------------------------------------------------------------------
def test_subscriptions_are_listed_in_pages_of_100(
    sns: Any, topic: str, taskflow_broker: Broker, taskflow_clock: ManualClock
) -> None:
    sns.create_topic(Name="other")
    for i in range(101):
        taskflow_broker.put_subscription(TopicSubscription(f"a{i}", "orders", "sqs", f"q{i}"))
    taskflow_broker.put_subscription(TopicSubscription("b", "other", "sqs", "q0"))
    pages = list(sns.get_paginator("list_subscriptions").paginate())
    assert [len(page["Subscriptions"]) for page in pages] == [100, 2]
    found = [one["SubscriptionArn"] for page in pages for one in page["Subscriptions"]]
    assert sorted(found) == sorted([*(f"{topic}:a{i}" for i in range(101)), ARN + "other:b"])
    pages = list(sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic))
    assert [len(page["Subscriptions"]) for page in pages] == [100, 1]
