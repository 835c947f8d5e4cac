"""Topics over the wire: made, listed, changed, tagged, permitted."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from taskflow.broker import Broker
from taskflow.broker.settings import TopicSettings, TopicSubscription
from taskflow.server.backend import Backend

ARN = "arn:aws:sns:us-east-1:000000000000:"


def refusal(verb: Any, **params: Any) -> tuple[str, str, int]:
    """Code, message and HTTP status of what a call is answered."""
    with pytest.raises(ClientError) as caught:
        verb(**params)
    response = caught.value.response
    status = response["ResponseMetadata"]["HTTPStatusCode"]
    return response["Error"]["Code"], response["Error"]["Message"], status


@pytest.fixture
def topic(sns: Any) -> str:
    """The ARN of a standard topic, `orders`."""
    return str(sns.create_topic(Name="orders")["TopicArn"])


# ---- create -------------------------------------------------------------------------------------
def test_a_topic_is_made_under_its_name_in_taskflow(sns: Any, taskflow_broker: Broker) -> None:
    answer = sns.create_topic(Name="order-created")
    assert answer["TopicArn"] == ARN + "order-created"
    assert taskflow_broker.topics() == ["order.created"]


def test_every_attribute_finds_its_setting(sns: Any, taskflow_broker: Broker) -> None:
    policy = json.dumps(
        {
            "Statement": {
                "Effect": "Allow",
                "Principal": "*",
                "Action": "sns:Publish",
                "Resource": "*",
            }
        }
    )
    delivery = json.dumps({"http": {"defaultHealthyRetryPolicy": {"numRetries": 5}}})
    sns.create_topic(
        Name="orders.fifo",
        Attributes={
            "FifoTopic": "true",
            "ContentBasedDeduplication": "true",
            "FifoThroughputScope": "MessageGroup",
            "DisplayName": "Orders",
            "Policy": policy,
            "DeliveryPolicy": delivery,
            "KmsMasterKeyId": "alias/aws/sns",
            "SignatureVersion": "2",
            "TracingConfig": "Active",
            "MaximumMessageSize": "1048576",
            "HTTPSuccessFeedbackRoleArn": "arn:aws:iam::000000000000:role/r",
        },
    )
    assert taskflow_broker.topic_settings("orders.fifo") == TopicSettings(
        content_based_deduplication=True,
        deduplication_scope="messageGroup",
        max_message_bytes=1048576,
        signature_version=2,
        policy=policy,
        others={
            "DisplayName": "Orders",
            "DeliveryPolicy": delivery,
            "KmsMasterKeyId": "alias/aws/sns",
            "TracingConfig": "Active",
            "HTTPSuccessFeedbackRoleArn": "arn:aws:iam::000000000000:role/r",
        },
    )


@pytest.mark.parametrize(
    ("name", "attributes", "message"),
    [
        ("a b", {}, "Invalid parameter: Topic Name"),
        ("a.fifo", {}, "Invalid parameter: Topic Name"),
        ("x" * 257, {}, "Invalid parameter: Topic Name"),
        (
            "a",
            {"FifoTopic": "maybe"},
            "Invalid parameter: Attributes Reason: FifoTopic: Invalid value [maybe]. Must be true "
            "or false.",
        ),
        (
            "a",
            {"ContentBasedDeduplication": "true"},
            "Invalid parameter: Attributes Reason: ContentBasedDeduplication can only be set on "
            "FIFO topics",
        ),
        (
            "a",
            {"SignatureVersion": "3"},
            "Invalid parameter: Attributes Reason: SignatureVersion: Invalid value [3]. Please use "
            "either 1 or 2",
        ),
        (
            "a",
            {"MaximumMessageSize": "1023"},
            "Invalid parameter: Attributes Reason: MaximumMessageSize: Invalid value [1023]. Must "
            "be between 1024 and 1048576",
        ),
        ("a", {"Nothing": "1"}, "Invalid parameter: Attributes Reason: AttributeName"),
        (
            "a",
            {"ArchivePolicy": '{"MessageRetentionPeriod":"5"}'},
            "Invalid parameter: Attributes Reason: ArchivePolicy Reason: archives are not "
            "supported here",
        ),
    ],
)
def test_a_topic_is_refused(sns: Any, name: str, attributes: Any, message: str) -> None:
    found = refusal(sns.create_topic, Name=name, Attributes=attributes)
    assert found == ("InvalidParameter", message, 400)
    assert sns.list_topics()["Topics"] == []


def test_a_fifo_topic_needs_a_fifo_name(sns: Any) -> None:
    code, message, _ = refusal(sns.create_topic, Name="a", Attributes={"FifoTopic": "true"})
    assert code == "InvalidParameter"
    assert message == "Invalid parameter: Topic Name"


TAGS = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]


@pytest.mark.parametrize(
    "again", [{}, {"Tags": TAGS}, {"Tags": TAGS[:1]}, {"Attributes": {"DisplayName": "D"}}]
)
def test_creating_the_same_again_answers_the_same(sns: Any, again: Any) -> None:
    made = sns.create_topic(Name="orders", Tags=TAGS, Attributes={"DisplayName": "D"})
    assert sns.create_topic(Name="orders", **again)["TopicArn"] == made["TopicArn"]


@pytest.mark.parametrize(
    ("again", "what"),
    [
        (
            {"Tags": [{"Key": "a", "Value": "2"}]},
            "Tags Reason: Topic already exists with different tags",
        ),
        (
            {"Tags": [{"Key": "c", "Value": "1"}]},
            "Tags Reason: Topic already exists with different tags",
        ),
        (
            {"Attributes": {"DisplayName": "E"}},
            "Attributes Reason: Topic already exists with different attributes",
        ),
    ],
)
def test_creating_another_again_is_refused(sns: Any, again: Any, what: str) -> None:
    sns.create_topic(Name="orders", Tags=TAGS, Attributes={"DisplayName": "D"})
    found = refusal(sns.create_topic, Name="orders", **again)
    assert found == ("InvalidParameter", f"Invalid parameter: {what}", 400)


# ---- list and delete ----------------------------------------------------------------------------
def test_topics_are_listed_in_pages_of_100(sns: Any, taskflow_broker: Broker) -> None:
    for i in range(205):
        taskflow_broker.create_topic(f"t{i:03}")
    taskflow_broker.create_topic("eu-west-1/elsewhere")
    pages = list(sns.get_paginator("list_topics").paginate())
    assert [len(page["Topics"]) for page in pages] == [100, 100, 5]
    names = [one["TopicArn"].removeprefix(ARN) for page in pages for one in page["Topics"]]
    assert names == [f"t{i:03}" for i in range(205)]


def test_a_foreign_token_is_refused(sns: Any) -> None:
    found = refusal(sns.list_topics, NextToken="x")
    assert found[:2] == ("InvalidParameter", "Invalid parameter: NextToken")


def test_deleting_a_topic_is_idempotent(sns: Any, topic: str) -> None:
    for _ in range(2):
        sns.delete_topic(TopicArn=topic)
    assert sns.list_topics()["Topics"] == []


# ---- attributes ---------------------------------------------------------------------------------
def test_a_topic_shows_what_it_is(sns: Any, topic: str, taskflow_broker: Broker) -> None:
    taskflow_broker.put_subscription(TopicSubscription("1", "orders", "sqs", "q"))
    taskflow_broker.put_subscription(
        TopicSubscription("2", "orders", "http", "http://x", pending=True)
    )
    shown = sns.get_topic_attributes(TopicArn=topic)["Attributes"]
    policy = json.loads(shown.pop("Policy"))
    delivery = json.loads(shown.pop("EffectiveDeliveryPolicy"))
    assert shown == {
        "TopicArn": topic,
        "Owner": "000000000000",
        "DisplayName": "",
        "SubscriptionsConfirmed": "1",
        "SubscriptionsPending": "1",
        "SubscriptionsDeleted": "0",
    }
    assert policy["Statement"][0]["Resource"] == topic
    assert policy["Statement"][0]["Condition"] == {
        "StringEquals": {"AWS:SourceOwner": "000000000000"}
    }
    assert delivery["http"]["defaultHealthyRetryPolicy"]["numRetries"] == 3
    assert delivery["http"]["disableSubscriptionOverrides"] is False


def test_a_fifo_topic_shows_that_it_is_one(sns: Any) -> None:
    arn = sns.create_topic(Name="a.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    shown = sns.get_topic_attributes(TopicArn=arn)["Attributes"]
    assert shown["FifoTopic"] == "true"
    assert shown["ContentBasedDeduplication"] == "false"
    assert "FifoThroughputScope" not in shown


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("DisplayName", "Orders"),
        ("SignatureVersion", "2"),
        ("MaximumMessageSize", "1048576"),
        ("TracingConfig", "Active"),
        ("KmsMasterKeyId", "key"),
        ("DeliveryPolicy", '{"http":{"defaultHealthyRetryPolicy":{"numRetries":9}}}'),
    ],
)
def test_an_attribute_is_set_and_taken_back(sns: Any, topic: str, name: str, text: str) -> None:
    before = sns.get_topic_attributes(TopicArn=topic)["Attributes"]
    sns.set_topic_attributes(TopicArn=topic, AttributeName=name, AttributeValue=text)
    assert sns.get_topic_attributes(TopicArn=topic)["Attributes"][name] == text
    sns.set_topic_attributes(TopicArn=topic, AttributeName=name, AttributeValue="")
    assert sns.get_topic_attributes(TopicArn=topic)["Attributes"] == before


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("FifoTopic", "true", "AttributeName"),
        ("Owner", "x", "AttributeName"),
        ("Policy", "{", "Policy Error"),
        ("DeliveryPolicy", "{", "DeliveryPolicy: failed to parse JSON."),
        ("DeliveryPolicy", '{"x":1}', "DeliveryPolicy: Unexpected JSON member: x"),
        (
            "DeliveryPolicy",
            '{"http":{"defaultHealthyRetryPolicy":{"numRetries":101}}}',
            "numRetries must be an integer greater than or equal to 0",
        ),
        (
            "DeliveryPolicy",
            '{"http":{"defaultHealthyRetryPolicy":{"minDelayTarget":21}}}',
            "minDelayTarget must be less than or equal to maxDelayTarget",
        ),
        (
            "DeliveryPolicy",
            '{"http":{"defaultHealthyRetryPolicy":{"backoffFunction":"x"}}}',
            "backoffFunction must be one of",
        ),
        (
            "DeliveryPolicy",
            '{"http":{"defaultHealthyRetryPolicy":{"numNoDelayRetries":4}}}',
            "numRetries must be greater than or equal to the sum",
        ),
        ("DisplayName", "x" * 101, "DisplayName"),
        ("TracingConfig", "Off", "TracingConfig"),
    ],
)
def test_a_value_is_refused(sns: Any, topic: str, name: str, text: str, message: str) -> None:
    before = sns.get_topic_attributes(TopicArn=topic)
    code, found, _ = refusal(
        sns.set_topic_attributes, TopicArn=topic, AttributeName=name, AttributeValue=text
    )
    assert code == "InvalidParameter"
    assert message in found
    assert sns.get_topic_attributes(TopicArn=topic)["Attributes"] == before["Attributes"]


@pytest.mark.parametrize("verb", ["get_topic_attributes", "list_subscriptions_by_topic"])
@pytest.mark.parametrize(
    ("arn", "answer"),
    [
        (ARN + "nothing", ("NotFound", "Topic does not exist", 404)),
        ("arn:aws:sns:us-east-1:111111111111:a", ("NotFound", "Topic does not exist", 404)),
        (
            "orders",
            (
                "InvalidParameter",
                "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 1",
                400,
            ),
        ),
    ],
)
def test_an_unknown_topic_is_not_found(sns: Any, verb: str, arn: str, answer: Any) -> None:
    assert refusal(getattr(sns, verb), TopicArn=arn) == answer


def test_large_messages_need_few_subscriptions_of_queues(
    sns: Any, topic: str, taskflow_broker: Broker
) -> None:
    taskflow_broker.put_subscription(TopicSubscription("1", "orders", "http", "http://x"))
    large = {"TopicArn": topic, "AttributeName": "MaximumMessageSize", "AttributeValue": "262145"}
    assert "100 or fewer subscriptions" in refusal(sns.set_topic_attributes, **large)[1]
    taskflow_broker.unsubscribe("1")
    sns.set_topic_attributes(**large)


# ---- permissions --------------------------------------------------------------------------------
def test_a_permission_is_added_to_the_default_policy_and_removed(sns: Any, topic: str) -> None:
    add = {
        "TopicArn": topic,
        "Label": "friends",
        "AWSAccountId": ["111111111111"],
        "ActionName": ["Publish"],
    }
    sns.add_permission(**add)
    policy = json.loads(sns.get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"])
    assert [one["Sid"] for one in policy["Statement"]] == ["__default_statement_ID", "friends"]
    assert policy["Statement"][1]["Principal"] == {"AWS": "arn:aws:iam::111111111111:root"}
    assert refusal(sns.add_permission, **add) == (
        "InvalidParameter",
        "Invalid parameter: Statement already exists",
        400,
    )
    sns.remove_permission(TopicArn=topic, Label="friends")
    policy = json.loads(sns.get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"])
    assert [one["Sid"] for one in policy["Statement"]] == ["__default_statement_ID"]
    assert refusal(sns.remove_permission, TopicArn=topic, Label="friends")[0] == "InvalidParameter"


# ---- tags ---------------------------------------------------------------------------------------
def test_tags_are_set_listed_and_removed(sns: Any, topic: str) -> None:
    assert sns.list_tags_for_resource(ResourceArn=topic)["Tags"] == []
    sns.tag_resource(ResourceArn=topic, Tags=TAGS)
    sns.tag_resource(ResourceArn=topic, Tags=[{"Key": "a", "Value": "3"}])
    sns.untag_resource(ResourceArn=topic, TagKeys=["b", "unknown"])
    assert sns.list_tags_for_resource(ResourceArn=topic)["Tags"] == [{"Key": "a", "Value": "3"}]


@pytest.mark.parametrize(
    ("tags", "code", "message"),
    [
        ([*TAGS, TAGS[0]], "InvalidParameter", "Duplicated keys are not allowed."),
        ([{"Key": "aws:x", "Value": ""}], "InvalidParameter", "cannot start with aws:"),
        ([{"Key": "x" * 129, "Value": ""}], "InvalidParameter", "is not valid"),
        (
            [{"Key": f"k{i}", "Value": ""} for i in range(51)],
            "TagLimitExceeded",
            "Could not complete request: tag quota of per resource exceeded",
        ),
    ],
)
def test_tags_are_refused(sns: Any, topic: str, tags: Any, code: str, message: str) -> None:
    found = refusal(sns.tag_resource, ResourceArn=topic, Tags=tags)
    assert found[0] == code
    assert message in found[1]
    assert sns.list_tags_for_resource(ResourceArn=topic)["Tags"] == []


def test_tags_of_nothing_are_not_found(sns: Any) -> None:
    answer = ("ResourceNotFound", "Resource does not exist", 404)
    arn = ARN + "nothing"
    assert refusal(sns.list_tags_for_resource, ResourceArn=arn) == answer
    assert refusal(sns.tag_resource, ResourceArn=arn, Tags=TAGS) == answer
    assert refusal(sns.untag_resource, ResourceArn=arn, TagKeys=["a"]) == answer


# ---- what is not here ---------------------------------------------------------------------------
def test_data_protection_is_not_here(sns: Any, topic: str) -> None:
    answer = ("InvalidAction", "Data protection policies are not supported by this server.", 400)
    assert refusal(sns.get_data_protection_policy, ResourceArn=topic) == answer
    put = {"ResourceArn": topic, "DataProtectionPolicy": "{}"}
    assert refusal(sns.put_data_protection_policy, **put) == answer
    assert refusal(sns.create_topic, Name="a", DataProtectionPolicy="{}") == answer


def test_sts_says_who_asks(clients: Any, backend: Backend) -> None:
    who = clients("sts").get_caller_identity()
    assert who["Account"] == backend.account
    assert who["Arn"] == "arn:aws:iam::000000000000:root"
    assert who["UserId"] == "TF1"
