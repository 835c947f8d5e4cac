"""Answers that were recorded on AWS; its documentation does not tell them, or tells otherwise."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from taskflow import Event, Registry
from taskflow.broker import Broker
from taskflow.message import Message
from taskflow.testing import ManualClock, drain
from taskflow.topology import declare
from tests.taskflow.server.test_sns_topics import ARN, refusal
from tests.taskflow.server.wire import FORM, post, post_form

QUEUE = "arn:aws:sqs:us-east-1:000000000000:"
GONE = "The specified queue does not exist."

Make = Callable[..., str]
Refused = Callable[..., tuple[str, str, str]]


def receive(sqs: Any, url: str, **more: Any) -> list[Any]:
    found = sqs.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=10,
        MessageSystemAttributeNames=["All"],
        MessageAttributeNames=["All"],
        **more,
    )
    messages: list[Any] = found.get("Messages", [])
    return messages


# ---- SQS ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("word", ["true", "True", "TRUE"])
def test_booleans_may_have_capitals(sqs: Any, make_queue: Make, word: str) -> None:
    url = sqs.create_queue(
        QueueName="a.fifo", Attributes={"FifoQueue": word, "ContentBasedDeduplication": word}
    )["QueueUrl"]
    plain = make_queue(
        "b", SqsManagedSseEnabled=word.replace("t", "f").replace("T", "F")[:1] + "alse"
    )
    shown = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (shown["FifoQueue"], shown["ContentBasedDeduplication"]) == ("true", "true")
    shown = sqs.get_queue_attributes(QueueUrl=plain, AttributeNames=["All"])["Attributes"]
    assert shown["SqsManagedSseEnabled"] == "false"
    again = {"FifoQueue": "true", "ContentBasedDeduplication": word}
    assert sqs.create_queue(QueueName="a.fifo", Attributes=again)["QueueUrl"] == url


@pytest.mark.parametrize("name", ["work", "work.fifo"])
def test_a_name_will_do_for_a_queue_url(sqs: Any, make_queue: Make, name: str) -> None:
    make_queue(name)
    more = {"MessageGroupId": "g", "MessageDeduplicationId": "d"} if "fifo" in name else {}
    sqs.send_message(QueueUrl=name, MessageBody="a", **more)
    assert [one["Body"] for one in receive(sqs, name)] == ["a"]


def test_a_host_is_the_address_of_no_queue(sqs: Any, refused: Refused) -> None:
    assert refused(
        sqs.get_queue_attributes, QueueUrl="http://whatever-incorrect-queue-address"
    ) == (
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDoesNotExist",
        GONE,
    )


def test_an_older_handle_changes_what_is_in_flight(sqs: Any, make_queue: Make) -> None:
    url = make_queue("work")
    sqs.send_message(QueueUrl=url, MessageBody="a")
    (first,) = receive(sqs, url, VisibilityTimeout=0)
    (second,) = receive(sqs, url)
    sqs.change_message_visibility(
        QueueUrl=url, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=0
    )
    (third,) = receive(sqs, url)
    assert third["MessageId"] == second["MessageId"]


def test_a_handle_that_nobody_was_given_deletes_nothing(sqs: Any, make_queue: Make) -> None:
    url = make_queue("work")
    sqs.send_message(QueueUrl=url, MessageBody="a")
    (found,) = receive(sqs, url)
    sqs.send_message(QueueUrl=url, MessageBody="b")
    number, dot, receipt = found["ReceiptHandle"].partition(".")
    for guess in range(1, 4):  # the next message, which was never received
        handle = f"{int(number) + guess}{dot}{receipt}"
        sqs.delete_message(QueueUrl=url, ReceiptHandle=handle)
    assert [one["Body"] for one in receive(sqs, url)] == ["b"]


def test_a_worker_keeps_its_fence(taskflow_broker: Broker) -> None:
    """What is a rule of the wire is none of the verbs that workers use."""
    taskflow_broker.create_queue("work")
    taskflow_broker.send("work", [Message("1", "x")])
    (old,) = taskflow_broker.receive("work", visibility=0.0)
    (new,) = taskflow_broker.receive("work")
    assert taskflow_broker.change_visibility([(old, 0.0)]) == [False]
    assert taskflow_broker.leases([new]) == ["held"]


@pytest.mark.parametrize("how", ["receives", "handler"])
def test_a_dead_letter_goes_on_counting_and_a_handler_begins_anew(
    sqs: Any,
    make_queue: Make,
    taskflow_broker: Broker,
    taskflow_clock: ManualClock,
    how: str,
) -> None:
    registry, attempts = Registry(), []

    @registry.subscribe("late", queue="dead", raw=True, retries=2, backoff=0.0)
    def handle(event: Event[Any]) -> None:
        attempts.append(event.attempt)
        if len(attempts) < 3:
            raise ValueError("again")

    declare(taskflow_broker, registry)
    policy = json.dumps({"deadLetterTargetArn": f"{QUEUE}dead", "maxReceiveCount": 2})
    url = make_queue("work", RedrivePolicy=policy)
    sqs.send_message(QueueUrl=url, MessageBody="1")
    for _ in range(2):
        assert receive(sqs, url)
        taskflow_clock.advance(31)
    assert receive(sqs, url) == []  # to the DLQ
    if how == "receives":
        counts = []
        for _ in range(2):
            counts += [
                one["Attributes"]["ApproximateReceiveCount"]
                for one in receive(sqs, "dead", VisibilityTimeout=0)
            ]
        assert counts == ["3", "4"]
        return
    drain(taskflow_broker, registry, raise_errors=False, advance=True)
    assert attempts == [1, 2, 3]


def test_a_policy_may_name_what_is_no_arn(sqs: Any, make_queue: Make) -> None:
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "SQS:*",
        "Resource": "$sqs_queue_arn",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
    url = make_queue("work", Policy=policy)
    shown = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]
    assert shown["Policy"] == policy


@pytest.mark.parametrize("action", ["CreateQueue", "ListQueues"])
def test_some_actions_are_none_of_a_queue(app: Any, make_queue: Make, action: str) -> None:
    make_queue("work")
    fields = {"Action": action, "QueueName": "x"}
    answer = post_form(app, fields, "/000000000000/work")
    assert (answer.status, answer.xml["Code"], answer.xml["Message"]) == (
        400,
        "InvalidAction",
        f"The action {action} is not valid for this endpoint.",
    )


@pytest.mark.parametrize("name", ["DeduplicationScope", "FifoThroughputLimit"])
def test_what_fifo_queues_have_only(
    make_queue: Make, refused: Refused, sqs: Any, name: str
) -> None:
    call = {"QueueName": "work", "Attributes": {name: "queue"}}
    assert refused(sqs.create_queue, **call) == (
        "InvalidAttributeName",
        "InvalidAttributeName",
        f"You can specify the {name} only when FifoQueue is set to true.",
    )


# ---- traces -------------------------------------------------------------------------------------
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"


@pytest.mark.parametrize("action", ["SendMessage", "Publish"])
def test_the_trace_header_of_a_request_goes_along(
    app: Any, sqs: Any, sns: Any, make_queue: Make, action: str
) -> None:
    url = make_queue("work")
    topic = sns.create_topic(Name="orders")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"{QUEUE}work")
    fields = {"QueueUrl": url, "MessageBody": "a", "TopicArn": topic, "Message": "a"}
    wanted = ("QueueUrl", "MessageBody") if action == "SendMessage" else ("TopicArn", "Message")
    chosen = {name: fields[name] for name in wanted}
    form = urlencode({"Action": action, **chosen}).encode()
    answer = post(app, form, FORM, ("x-amzn-trace-id", TRACE))
    assert answer.status == 200
    assert [one["Attributes"]["AWSTraceHeader"] for one in receive(sqs, url)] == [TRACE]


# ---- SNS ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("verb", "more"),
    [
        ("get_topic_attributes", {}),
        ("set_topic_attributes", {"AttributeName": "DisplayName", "AttributeValue": "x"}),
        ("publish", {"Message": "x"}),
        ("publish_batch", {"PublishBatchRequestEntries": [{"Id": "a", "Message": "x"}]}),
        ("subscribe", {"Protocol": "sqs", "Endpoint": f"{QUEUE}work"}),
        ("list_subscriptions_by_topic", {}),
        ("delete_topic", {}),
        ("confirm_subscription", {"Token": "x"}),
    ],
)
def test_a_topic_of_another_region_is_none_of_this_one(
    sns: Any, taskflow_broker: Broker, verb: str, more: Any
) -> None:
    taskflow_broker.create_topic("eu-west-1/orders")
    arn = "arn:aws:sns:eu-west-1:000000000000:orders"
    code, text, _ = refusal(getattr(sns, verb), TopicArn=arn, **more)
    assert (code, text) == ("InvalidParameter", "Invalid parameter: TopicArn")
    assert list(taskflow_broker.topics()) == ["eu-west-1/orders"]


def test_the_topic_is_looked_for_before_the_endpoint(sns: Any) -> None:
    call = {"TopicArn": ARN + "nothing", "Protocol": "sqs", "Endpoint": "asdf"}
    assert refusal(sns.subscribe, **call)[:2] == ("NotFound", "Topic does not exist")


def test_every_queue_has_its_own_id_and_number(sns: Any, sqs: Any, make_queue: Make) -> None:
    topic = sns.create_topic(Name="t.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    for name in ("a.fifo", "b.fifo"):
        make_queue(name)
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=QUEUE + name)
    published = sns.publish(
        TopicArn=topic, Message="x", MessageGroupId="g", MessageDeduplicationId="d"
    )
    found = [receive(sqs, name)[0] for name in ("a.fifo", "b.fifo")]
    envelopes = [json.loads(one["Body"]) for one in found]
    ids = {published["MessageId"], *(one["MessageId"] for one in found)}
    assert len(ids) == 3
    assert {one["MessageId"] for one in envelopes} == {published["MessageId"]}
    assert {one["SequenceNumber"] for one in envelopes} == {published["SequenceNumber"]}
    numbers = {one["Attributes"]["SequenceNumber"] for one in found}
    assert published["SequenceNumber"] not in numbers
    assert all("Signature" not in one for one in envelopes)


@pytest.mark.parametrize(("kind", "good"), [("String.", False), ("String. x", True)])
def test_a_type_needs_a_label_after_its_dot(sns: Any, kind: str, good: bool) -> None:
    topic = sns.create_topic(Name="orders")["TopicArn"]
    value = {"a": {"DataType": kind, "StringValue": "x"}}
    call = {"TopicArn": topic, "Message": "x", "MessageAttributes": value}
    if good:
        sns.publish(**call)
    else:
        code, text, _ = refusal(sns.publish, **call)
        assert code == "ParameterValueInvalid"
        assert "has an invalid message attribute type" in text


def test_the_last_of_two_bodies_counts(sns: Any, sqs: Any, make_queue: Make) -> None:
    make_queue("work")
    topic = sns.create_topic(Name="orders")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"{QUEUE}work")
    sns.publish(TopicArn=topic, Message='{"default": "a", "default": "b"}', MessageStructure="json")
    assert [json.loads(one["Body"])["Message"] for one in receive(sqs, "work")] == ["b"]


def test_the_structure_is_looked_at_before_the_group(sns: Any) -> None:
    topic = sns.create_topic(Name="t.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    entry = {"Id": "a", "Message": "{}", "MessageStructure": "json"}
    text = refusal(sns.publish_batch, TopicArn=topic, PublishBatchRequestEntries=[entry])[1]
    assert text == "Invalid parameter: Message Structure - No default entry in JSON message body"


def test_what_is_missing_is_said_as_sns_says_it(app: Any) -> None:
    answer = post_form(app, {"Action": "Unsubscribe"})
    assert (answer.status, answer.xml["Code"], answer.xml["Message"]) == (
        400,
        "InvalidParameter",
        "Invalid parameter: SubscriptionArn Reason: no value for required parameter",
    )


@pytest.mark.parametrize(
    ("id", "wrong"), [("a" * 81, "is too long"), ("a b", "contains an impermissible character")]
)
def test_a_bad_id_of_an_entry_is_named(sns: Any, id: str, wrong: str) -> None:
    topic = sns.create_topic(Name="orders")["TopicArn"]
    entry = {"Id": id, "Message": "x"}
    code, text, _ = refusal(sns.publish_batch, TopicArn=topic, PublishBatchRequestEntries=[entry])
    assert code == "InvalidBatchEntryId"
    assert text == f"The Id of a batch entry in the batch request {wrong}: {id}"
