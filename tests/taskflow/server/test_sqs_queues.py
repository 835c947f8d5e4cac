"""SQS queues over the wire: create, find, list, tag, purge, delete, in both dialects."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from taskflow.testing import ManualClock

Make = Callable[..., str]
Refused = Callable[..., tuple[str, str, str]]
Query = Callable[..., Any]

GONE = (
    "AWS.SimpleQueueService.NonExistentQueue",
    "QueueDoesNotExist",
    "The specified queue does not exist.",
)
PLAIN_NAME = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
URL = "http://localhost:9324/000000000000/"


def taken(what: str) -> tuple[str, str, str]:
    text = f"A queue already exists with the same name and a different value for {what}"
    return "QueueAlreadyExists", "QueueNameExists", text


def invalid(text: str) -> tuple[str, str, str]:
    return "InvalidParameterValue", "InvalidParameterValueException", text


# ---- create -------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["work", "a", "A-b_9" * 16, "work.fifo", "f" * 75 + ".fifo"])
def test_a_queue_is_made_and_found(sqs: Any, make_queue: Make, name: str) -> None:
    assert make_queue(name) == URL + name
    assert sqs.get_queue_url(QueueName=name)["QueueUrl"] == URL + name


@pytest.mark.parametrize("name", ["", "a b", "a" * 81, "a/b", "é", "a.b", "work.fifo"])
def test_a_bad_name_is_refused(sqs: Any, refused: Refused, name: str) -> None:
    assert refused(sqs.create_queue, QueueName=name) == invalid(PLAIN_NAME)


@pytest.mark.parametrize("name", ["work", ".fifo", "a.b.fifo", "f" * 76 + ".fifo"])
def test_a_fifo_queue_has_its_suffix(sqs: Any, refused: Refused, name: str) -> None:
    wanted = {"FifoQueue": "true"}
    code, _, text = refused(sqs.create_queue, QueueName=name, Attributes=wanted)
    assert code == "InvalidParameterValue"
    assert "must end with .fifo suffix" in text


def test_fifo_queue_false_is_unknown_on_a_standard_queue(sqs: Any, refused: Refused) -> None:
    answer = refused(sqs.create_queue, QueueName="work", Attributes={"FifoQueue": "false"})
    assert answer == (
        "InvalidAttributeName",
        "InvalidAttributeName",
        "Unknown Attribute FifoQueue.",
    )


@pytest.mark.parametrize(
    "again",
    [
        {},
        {"DelaySeconds": "5"},
        {"DelaySeconds": "5", "VisibilityTimeout": "30"},  # a default, repeated
        {"MaximumMessageSize": "1048576", "MessageRetentionPeriod": "345600"},
    ],
)
def test_creating_again_with_equal_attributes_answers_the_queue(
    sqs: Any, make_queue: Make, again: dict[str, str]
) -> None:
    url = make_queue(DelaySeconds=5)
    sqs.send_message(QueueUrl=url, MessageBody="kept")
    sqs.add_permission(QueueUrl=url, Label="a", AWSAccountIds=["1" * 12], Actions=["SendMessage"])
    sqs.tag_queue(QueueUrl=url, Tags={"team": "a"})
    assert sqs.create_queue(QueueName="work", Attributes=again)["QueueUrl"] == url
    asked = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["DelaySeconds"])
    assert asked["Attributes"] == {"DelaySeconds": "5"}


@pytest.mark.parametrize(
    ("again", "what"),
    [
        ({"DelaySeconds": "4"}, "attribute DelaySeconds"),
        ({"DelaySeconds": "5", "VisibilityTimeout": "31"}, "attribute VisibilityTimeout"),
        ({"RedriveAllowPolicy": '{"redrivePermission":"denyAll"}'}, "attribute RedriveAllowPolicy"),
    ],
)
def test_creating_again_with_another_attribute_is_refused(
    sqs: Any, make_queue: Make, refused: Refused, again: dict[str, str], what: str
) -> None:
    make_queue(DelaySeconds=5)
    assert refused(sqs.create_queue, QueueName="work", Attributes=again) == taken(what)


def test_creating_again_looks_at_fifo_attributes_too(
    sqs: Any, make_queue: Make, refused: Refused
) -> None:
    make_queue("a.fifo", ContentBasedDeduplication="true")
    assert make_queue("a.fifo", ContentBasedDeduplication="true").endswith("a.fifo")
    wanted = {"FifoQueue": "true", "ContentBasedDeduplication": "false"}
    answer = refused(sqs.create_queue, QueueName="a.fifo", Attributes=wanted)
    assert answer == taken("attribute ContentBasedDeduplication")


def test_creating_again_with_other_tags_is_refused(
    sqs: Any, make_queue: Make, refused: Refused
) -> None:
    sqs.create_queue(QueueName="work", tags={"team": "a"})
    assert make_queue("work") == sqs.create_queue(QueueName="work", tags={"team": "a"})["QueueUrl"]
    assert refused(sqs.create_queue, QueueName="work", tags={"team": "b"}) == taken("tags")


# ---- find and delete ----------------------------------------------------------------------------
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("delete_queue", {}),
    ("get_queue_attributes", {}),
    ("set_queue_attributes", {"Attributes": {"DelaySeconds": "1"}}),
    ("list_queue_tags", {}),
    ("tag_queue", {"Tags": {"a": "b"}}),
    ("untag_queue", {"TagKeys": ["a"]}),
    ("purge_queue", {}),
    ("list_dead_letter_source_queues", {}),
    ("add_permission", {"Label": "a", "AWSAccountIds": ["1" * 12], "Actions": ["SendMessage"]}),
    ("remove_permission", {"Label": "a"}),
    ("send_message", {"MessageBody": "a"}),
    ("send_message_batch", {"Entries": [{"Id": "a", "MessageBody": "a"}]}),
    ("receive_message", {}),
    ("receive_message", {"WaitTimeSeconds": 5}),
    ("delete_message", {"ReceiptHandle": "1.1"}),
    ("delete_message_batch", {"Entries": [{"Id": "a", "ReceiptHandle": "1.1"}]}),
    ("change_message_visibility", {"ReceiptHandle": "1.1", "VisibilityTimeout": 1}),
    (
        "change_message_visibility_batch",
        {"Entries": [{"Id": "a", "ReceiptHandle": "1.1", "VisibilityTimeout": 1}]},
    ),
]


@pytest.mark.parametrize(("method", "params"), CALLS)
def test_an_unknown_queue(
    sqs: Any, make_queue: Make, refused: Refused, method: str, params: dict[str, Any]
) -> None:
    other_account = make_queue("other").replace("000000000000", "111111111111")
    for url in (URL + "nothing", other_account):
        assert refused(getattr(sqs, method), QueueUrl=url, **params) == GONE


def test_an_unknown_name(sqs: Any, refused: Refused, query: Query) -> None:
    assert refused(sqs.get_queue_url, QueueName="nothing") == GONE
    answer = query("GetQueueUrl", QueueName="nothing")
    assert answer.status == 400
    assert answer.xml["Code"] == GONE[0]
    assert answer.xml["Message"] == "The specified queue does not exist for this wsdl version."


@pytest.mark.parametrize("url", ["a" * 81, "http://localhost/work", "http://[", ""])
def test_an_address_that_is_no_queue(sqs: Any, refused: Refused, url: str) -> None:
    code, _, text = refused(sqs.purge_queue, QueueUrl=url)
    assert (code, text) in [
        ("InvalidAddress", f"The address {url} is not valid for this endpoint."),
        ("MissingParameter", "The request must contain the parameter QueueUrl."),
    ]


def test_a_deleted_queue_is_gone_with_its_messages(
    sqs: Any, make_queue: Make, refused: Refused
) -> None:
    url = make_queue()
    sqs.send_message(QueueUrl=url, MessageBody="lost")
    sqs.tag_queue(QueueUrl=url, Tags={"team": "a"})
    sqs.delete_queue(QueueUrl=url)
    assert refused(sqs.delete_queue, QueueUrl=url) == GONE
    make_queue(VisibilityTimeout=7)
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    assert "Tags" not in sqs.list_queue_tags(QueueUrl=url)


def test_untagging_names_a_tag(sqs: Any, make_queue: Make, refused: Refused) -> None:
    answer = refused(sqs.untag_queue, QueueUrl=make_queue(), TagKeys=[])
    text = "Tag keys must be between 1 and 128 characters in length."
    assert (answer[0], answer[2]) == ("InvalidParameterValue", text)


# ---- list ---------------------------------------------------------------------------------------
def test_queues_are_listed_by_prefix(sqs: Any, make_queue: Make) -> None:
    assert "QueueUrls" not in sqs.list_queues()
    urls = [make_queue(name) for name in ("b-1", "a-2", "a-1", "a.fifo")]
    assert sqs.list_queues()["QueueUrls"] == sorted(urls)
    assert sqs.list_queues(QueueNamePrefix="a-")["QueueUrls"] == sorted(urls[1:3])
    assert "QueueUrls" not in sqs.list_queues(QueueNamePrefix="A")


def test_queues_are_listed_in_pages(sqs: Any, make_queue: Make, refused: Refused) -> None:
    urls = sorted(make_queue(f"q-{number}") for number in range(5))
    pages = list(sqs.get_paginator("list_queues").paginate(PaginationConfig={"PageSize": 2}))
    assert [page["QueueUrls"] for page in pages] == [urls[:2], urls[2:4], urls[4:]]
    assert "NextToken" not in sqs.list_queues(MaxResults=5)
    assert "NextToken" not in sqs.list_queues()
    for most in (0, 1001):
        assert refused(sqs.list_queues, MaxResults=most)[0] == "InvalidParameterValue"
    assert refused(sqs.list_queues, NextToken="é")[0] == "InvalidParameterValue"


# ---- tags ---------------------------------------------------------------------------------------
def test_tags(sqs: Any) -> None:
    url = sqs.create_queue(QueueName="work", tags={"team": "a"})["QueueUrl"]
    sqs.tag_queue(QueueUrl=url, Tags={"team": "b", "Team": "c", "empty": ""})
    tags = {"team": "b", "Team": "c", "empty": ""}
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == tags
    sqs.untag_queue(QueueUrl=url, TagKeys=["team", "never"])
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"Team": "c", "empty": ""}
    sqs.untag_queue(QueueUrl=url, TagKeys=["Team", "empty"])
    assert "Tags" not in sqs.list_queue_tags(QueueUrl=url)


@pytest.mark.parametrize(
    ("tags", "answer"),
    [
        ({}, "The request must contain the parameter Tags."),
        ({"": "a"}, "Tag keys must be between 1 and 128 characters in length."),
        ({"k" * 129: "a"}, "Tag keys must be between 1 and 128 characters in length."),
        ({"a": "v" * 257}, "Tag values must be between 0 and 256 characters in length."),
        ({str(number): "" for number in range(50)}, "Too many tags added for queue work."),
    ],
)
def test_tags_that_are_refused(
    sqs: Any, make_queue: Make, refused: Refused, tags: dict[str, str], answer: str
) -> None:
    url = sqs.create_queue(QueueName="work", tags={"kept": "yes"})["QueueUrl"]
    assert refused(sqs.tag_queue, QueueUrl=url, Tags=tags)[2] == answer
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"kept": "yes"}


def test_a_queue_with_too_many_tags_is_not_made(sqs: Any, refused: Refused) -> None:
    tags = {str(number): "" for number in range(51)}
    answer = refused(sqs.create_queue, QueueName="work", tags=tags)
    assert answer == invalid("Too many tags added for queue work.")
    assert refused(sqs.get_queue_url, QueueName="work") == GONE


# ---- purge --------------------------------------------------------------------------------------
def test_purge_takes_everything_and_may_not_be_repeated_soon(
    sqs: Any, make_queue: Make, taskflow_clock: ManualClock
) -> None:
    url = make_queue()
    for delay in (0, 0, 60):
        sqs.send_message(QueueUrl=url, MessageBody="a", DelaySeconds=delay)
    held = sqs.receive_message(QueueUrl=url)["Messages"][0]["ReceiptHandle"]
    sqs.purge_queue(QueueUrl=url)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=held)
    taskflow_clock.advance(59)
    with pytest.raises(sqs.exceptions.PurgeQueueInProgress) as caught:
        sqs.purge_queue(QueueUrl=url)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    error = caught.value.response["Error"]
    assert error["Code"] == "AWS.SimpleQueueService.PurgeQueueInProgress"
    text = "Only one PurgeQueue operation on work is allowed every 60 seconds."
    assert error["Message"] == text
    taskflow_clock.advance(2)
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    sqs.purge_queue(QueueUrl=url)


# ---- the query protocol -------------------------------------------------------------------------
def test_queues_in_the_query_protocol(sqs: Any, query: Query) -> None:
    fields = {"Attribute.1.Name": "DelaySeconds", "Attribute.1.Value": "5"}
    fields |= {"Tag.1.Key": "team", "Tag.1.Value": "a"}
    assert query("CreateQueue", fields, QueueName="work").xml["QueueUrl"] == URL + "work"
    assert query("ListQueues", QueueNamePrefix="w").xml["QueueUrl"] == URL + "work"
    answer = query("GetQueueAttributes", {"AttributeName.1": "DelaySeconds"}, QueueUrl=URL + "work")
    assert (answer.xml["Name"], answer.xml["Value"]) == ("DelaySeconds", "5")
    assert sqs.list_queue_tags(QueueUrl=URL + "work")["Tags"] == {"team": "a"}
    answer = query(
        "CreateQueue", {"Attribute.Name": "DelaySeconds", "Attribute.Value": "6"}, QueueName="work"
    )
    assert answer.xml["Code"] == "QueueAlreadyExists"
    assert query("DeleteQueue", QueueUrl=URL + "work").status == 200
    with pytest.raises(ClientError):
        sqs.get_queue_url(QueueName="work")
