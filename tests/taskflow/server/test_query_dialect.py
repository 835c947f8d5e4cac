"""Forms: the spellings that are read, the services they are for, and what is refused."""

from typing import Any

import pytest

from taskflow.server.query_form import MAX_FIELDS
from tests.taskflow.server.wire import (
    FORM,
    Actions,
    get,
    make_app,
    post,
    post_form,
)


def read_form(fields: Any, service: str = "sqs", path: str = "/") -> Any:
    """The parameters that an action is given."""
    actions = Actions()
    answer = post_form(make_app(actions), fields, path)
    assert answer.status == 200, answer.body
    assert actions.calls[0].service == service
    return actions.calls[0].params


@pytest.mark.parametrize(
    ("form", "service", "params"),
    [
        (
            "Action=SetQueueAttributes&QueueUrl=u&Attribute.1.Name=DelaySeconds&Attribute.1.Value=5",
            "sqs",
            {"QueueUrl": "u", "Attributes": {"DelaySeconds": "5"}},
        ),
        (
            "Action=SetQueueAttributes&QueueUrl=u&Attribute.Name=DelaySeconds&Attribute.Value=5",
            "sqs",
            {"QueueUrl": "u", "Attributes": {"DelaySeconds": "5"}},
        ),
        (
            "Action=SetQueueAttributes&QueueUrl=u&Attributes.entry.1.key=A&Attributes.entry.1.value=",
            "sqs",
            {"QueueUrl": "u", "Attributes": {"A": ""}},
        ),
        (
            "Action=CreateQueue&QueueName=q&Tag.1.Key=a&Tag.1.Value=b&Attribute.2.Name=B"
            "&Attribute.2.Value=2&Attribute.10.Name=J&Attribute.10.Value=10",
            "sqs",
            {"QueueName": "q", "tags": {"a": "b"}, "Attributes": {"B": "2", "J": "10"}},
        ),
        (
            "Action=GetQueueAttributes&QueueUrl=u&AttributeName.2=b&AttributeName.10=c&AttributeName.1=a",
            "sqs",
            {"QueueUrl": "u", "AttributeNames": ["a", "b", "c"]},
        ),
        (
            "Action=GetQueueAttributes&QueueUrl=u&AttributeName=All",
            "sqs",
            {"QueueUrl": "u", "AttributeNames": ["All"]},
        ),
        (
            "Action=GetQueueAttributes&QueueUrl=u&AttributeNames.member.1=All",
            "sqs",
            {"QueueUrl": "u", "AttributeNames": ["All"]},
        ),
        (
            "Action=ReceiveMessage&QueueUrl=u&AttributeName.1=All&MessageAttributeName.1=a.*"
            "&MessageSystemAttributeName.1=SenderId&MaxNumberOfMessages=10",
            "sqs",
            {
                "QueueUrl": "u",
                "AttributeNames": ["All"],
                "MessageAttributeNames": ["a.*"],
                "MessageSystemAttributeNames": ["SenderId"],
                "MaxNumberOfMessages": 10,
            },
        ),
        (
            "Action=SendMessageBatch&QueueUrl=u&SendMessageBatchRequestEntry.1.Id=a"
            "&SendMessageBatchRequestEntry.1.MessageBody=x%26y+z"
            "&SendMessageBatchRequestEntry.1.MessageAttribute.1.Name=n"
            "&SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.StringValue=v"
            "&SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.DataType=String",
            "sqs",
            {
                "QueueUrl": "u",
                "Entries": [
                    {
                        "Id": "a",
                        "MessageBody": "x&y z",
                        "MessageAttributes": {"n": {"StringValue": "v", "DataType": "String"}},
                    }
                ],
            },
        ),
        ("Action=SendMessageBatch&QueueUrl=u", "sqs", {"QueueUrl": "u", "Entries": []}),
        (
            "Action=AddPermission&QueueUrl=u&Label=l&AWSAccountId.1=1&ActionName.1=SendMessage",
            "sqs",
            {"QueueUrl": "u", "Label": "l", "AWSAccountIds": ["1"], "Actions": ["SendMessage"]},
        ),
        (
            "Action=CreateTopic&Name=t&Attributes.entry.1.key=FifoTopic&Attributes.entry.1.value=true"
            "&Tags.member.1.Key=a&Tags.member.1.Value=b",
            "sns",
            {
                "Name": "t",
                "Attributes": {"FifoTopic": "true"},
                "Tags": [{"Key": "a", "Value": "b"}],
            },
        ),
        (
            "Action=Publish&Message=m&MessageAttributes.entry.1.Name=n"
            "&MessageAttributes.entry.1.Value.DataType=Binary"
            "&MessageAttributes.entry.1.Value.BinaryValue=AAE%3D",
            "sns",
            {
                "Message": "m",
                "MessageAttributes": {"n": {"DataType": "Binary", "BinaryValue": b"\0\1"}},
            },
        ),
        (
            "Action=PublishBatch&TopicArn=t&PublishBatchRequestEntries.member.1.Id=a"
            "&PublishBatchRequestEntries.member.1.Message=m",
            "sns",
            {"TopicArn": "t", "PublishBatchRequestEntries": [{"Id": "a", "Message": "m"}]},
        ),
        (
            "Action=UntagResource&ResourceArn=r&TagKeys.member.1=a&TagKeys.member.2=b",
            "sns",
            {"ResourceArn": "r", "TagKeys": ["a", "b"]},
        ),
        (
            "Action=Subscribe&TopicArn=t&Protocol=sqs&ReturnSubscriptionArn=TRUE&Later=1&A.b.c=2",
            "sns",
            {"TopicArn": "t", "Protocol": "sqs", "ReturnSubscriptionArn": True},
        ),
        ("Action=GetCallerIdentity", "sts", {}),
    ],
)
def test_the_spellings_of_clients_old_and_new(form: str, service: str, params: Any) -> None:
    assert read_form(form, service) == params
    actions = Actions()
    assert get(make_app(actions), "/", form).status == 200
    assert actions.calls[0].params == params


QUEUE, TOPIC = "QueueUrl=u&Label=l", "TopicArn=t&Label=l"


@pytest.mark.parametrize(
    ("form", "path", "signed", "service"),
    [
        (f"{QUEUE}&Version=2012-11-05", "/", None, "sqs"),
        (f"{TOPIC}&Version=2010-03-31", "/", None, "sns"),
        (f"{QUEUE}&Version=2010-03-31", "/", "sqs", "sqs"),
        (f"{TOPIC}&Version=2012-11-05", "/", "sns", "sns"),
        (f"{TOPIC}&Version=2010-03-31", "/", "execute-api", "sns"),
        (QUEUE, "/", None, "sqs"),
        (TOPIC, "/", None, "sns"),
        (f"{TOPIC}", "/000000000000/q", None, "sqs"),
    ],
)
def test_the_service_is_the_signed_one_then_the_versions_then_the_actions(
    form: str, path: str, signed: str | None, service: str
) -> None:
    actions = Actions()
    scope = None if signed is None else ("TF1", "us-east-1", signed)
    app = make_app(actions, scope_of=lambda _: scope)
    assert post_form(app, f"Action=RemovePermission&{form}", path).status == 200
    assert actions.calls[0].service == service


ATTRIBUTE = "Action=SendMessage&QueueUrl=u&MessageBody=b&MessageAttribute.1."


@pytest.mark.parametrize(
    ("form", "status", "code", "message"),
    [
        ("", 400, "MissingAction", None),
        ("Action=", 400, "MissingAction", None),
        ("QueueUrl=u", 400, "MissingAction", None),
        ("Action=No", 400, "InvalidAction", "The action No is not valid for this endpoint."),
        (
            "Action=%3C%26%3E",
            400,
            "InvalidAction",
            "The action <&> is not valid for this endpoint.",
        ),
        (
            "Action=GetSMSAttributes&Version=2010-03-31",
            400,
            "InvalidAction",
            "Operation (GetSMSAttributes) is not supported in this region",
        ),
        (
            "Action=ListEndpointsByPlatformApplication",
            400,
            "InvalidAction",
            "Operation (ListEndpointsByPlatformApplication) is not supported in this region",
        ),
        (
            "Action=SendMessage&QueueUrl=u",
            400,
            "MissingParameter",
            "The request must contain the parameter MessageBody.",
        ),
        (
            "Action=SendMessageBatch&QueueUrl=u&SendMessageBatchRequestEntry.2.Id=a",
            400,
            "MissingParameter",
            "The request must contain the parameter SendMessageBatchRequestEntry.2.MessageBody.",
        ),
        ("Action=ListQueues&MaxResults=", 400, "MalformedInput", None),
        ("Action=ListQueues&MaxResults=+1", 400, "MalformedInput", None),
        ("Action=ListQueues&MaxResults=1.0", 400, "MalformedInput", None),
        ("Action=ListQueues&MaxResults=%D9%A3", 400, "MalformedInput", None),
        ("Action=ListQueues&MaxResults=2147483648", 400, "MalformedInput", None),
        ("Action=ListQueues&MaxResults=" + "9" * 5000, 400, "MalformedInput", None),
        (
            "Action=Subscribe&TopicArn=t&Protocol=p&ReturnSubscriptionArn=1",
            400,
            "MalformedInput",
            None,
        ),
        (
            ATTRIBUTE + "Value.DataType=String",
            400,
            "MalformedInput",
            "MessageAttribute.1 has no Name",
        ),
        (ATTRIBUTE + "Name=a", 400, "MalformedInput", "MessageAttribute.1 has no Value"),
        (ATTRIBUTE + "Name=a&MessageAttribute.1.Value=x", 400, "MalformedInput", None),
        (
            ATTRIBUTE + "Name=a&MessageAttribute.1.Value.DataType=b"
            "&MessageAttribute.1.Value.BinaryValue=!",
            400,
            "MalformedInput",
            "A blob is not in base64",
        ),
        ("Action=UntagQueue&QueueUrl=u&TagKey.x=1", 400, "MalformedInput", None),
        ("Action=UntagQueue&QueueUrl=u&TagKey.1.x=1", 400, "MalformedInput", None),
        ("Action=ListQueues&QueueNamePrefix=%", 404, "MalformedQueryString", None),
        ("Action=ListQueues&QueueNamePrefix=%zz", 404, "MalformedQueryString", None),
        ("Action=ListQueues&QueueNamePrefix=%ff", 404, "MalformedQueryString", None),
        ("Action=ListQueues&QueueNamePrefix=%ed%a0%80", 404, "MalformedQueryString", None),
        ("Action=ListQueues&Action=PurgeQueue", 404, "MalformedQueryString", None),
        ("Action=ListQueues" + "&a" * MAX_FIELDS, 404, "MalformedQueryString", None),
    ],
)
def test_forms_that_are_refused(form: str, status: int, code: str, message: str | None) -> None:
    actions = Actions()
    answer = post_form(make_app(actions), form)
    assert (answer.status, answer.xml["Code"], answer.xml["Type"]) == (status, code, "Sender")
    assert answer.xml["Message"] == message if message else answer.xml["Message"]
    assert answer.xml["RequestId"] == answer.headers["x-amzn-requestid"] == "r1"
    assert not actions.calls


def test_a_form_is_in_utf_8_and_not_at_odds_with_the_query_string() -> None:
    app = make_app(Actions())
    latin = ("content-type", "application/x-www-form-urlencoded; charset=iso-8859-1")
    assert post(app, b"Action=ListQueues", latin).xml["Code"] == "MalformedInput"
    assert post(app, b"Action=ListQueues&x=\xff", FORM).xml["Code"] == "MalformedQueryString"
    twice = post(app, b"Action=ListQueues", FORM, query="Action=PurgeQueue")
    assert twice.xml["Code"] == "MalformedQueryString"
    assert post(app, b"Action=ListQueues", FORM, query="Action=ListQueues").status == 200


def test_deep_names_cost_nothing() -> None:
    assert read_form("Action=ListQueues&" + "a." * 500_000 + "=1") == {}
