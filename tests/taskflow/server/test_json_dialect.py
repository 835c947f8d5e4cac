"""JSON: how a call says that it is one, and what is refused."""

from typing import Any

import pytest

from tests.taskflow.server.wire import (
    JSON,
    Actions,
    make_app,
    post,
    post_json,
)

SEND = {"QueueUrl": "u", "MessageBody": "b"}
NOT_READ = "MalformedInput", "SerializationException"


@pytest.mark.parametrize(
    ("action", "params", "code", "shape", "message"),
    [
        ("SendMessage", b"{", *NOT_READ, "The body is not valid JSON"),
        ("SendMessage", b"\xff", *NOT_READ, "The body is not valid JSON"),
        ("SendMessage", b"\xef\xbb\xbf{}", *NOT_READ, "The body is not valid JSON"),
        ("SendMessage", b"[" * 200_000, *NOT_READ, "The body is not valid JSON"),
        ("SendMessage", b'{"a":' * 100_000, *NOT_READ, "The body is not valid JSON"),
        ("SendMessage", b'{"MessageBody": "\\ud800"}', *NOT_READ, "The body is not valid JSON"),
        ("SendMessage", b'{"DelaySeconds": NaN}', *NOT_READ, "The body is not valid JSON"),
        ("SendMessage", b"[]", *NOT_READ, "The body is not a JSON object"),
        ("SendMessage", b"null", *NOT_READ, "The body is not a JSON object"),
        (
            "SendMessage",
            SEND | {"DelaySeconds": "1"},
            *NOT_READ,
            "STRING_VALUE can not be converted to an Integer",
        ),
        (
            "SendMessage",
            SEND | {"DelaySeconds": 2**31},
            *NOT_READ,
            "NUMBER_VALUE can not be converted to an Integer",
        ),
        (
            "SendMessage",
            SEND | {"DelaySeconds": 10**400},
            *NOT_READ,
            None,
        ),
        (
            "SendMessage",
            SEND | {"DelaySeconds": True},
            *NOT_READ,
            "TRUE_VALUE can not be converted to an Integer",
        ),
        (
            "SendMessage",
            SEND | {"DelaySeconds": 1.5},
            *NOT_READ,
            "DECIMAL_VALUE can not be converted to an Integer",
        ),
        (
            "SendMessage",
            SEND | {"MessageBody": 5},
            *NOT_READ,
            "NUMBER_VALUE can not be converted to a String",
        ),
        (
            "SendMessage",
            SEND | {"MessageBody": {}},
            *NOT_READ,
            "Start of structure or map found where not expected.",
        ),
        (
            "SendMessage",
            SEND | {"MessageBody": []},
            *NOT_READ,
            "Start of list found where not expected",
        ),
        ("SendMessage", SEND | {"MessageAttributes": []}, *NOT_READ, "Unexpected field type"),
        (
            "GetQueueAttributes",
            {"QueueUrl": "u", "AttributeNames": [None]},
            *NOT_READ,
            "NULL_VALUE can not be converted to a String",
        ),
        (
            "SendMessage",
            SEND | {"MessageAttributes": {"a": {"DataType": "Binary", "BinaryValue": "A"}}},
            *NOT_READ,
            "A blob is not in base64",
        ),
        (
            "SendMessage",
            SEND | {"MessageAttributes": {"a": {"DataType": "Binary", "BinaryValue": "é"}}},
            *NOT_READ,
            "A blob is not in base64",
        ),
        (
            "SendMessage",
            {"QueueUrl": "u", "MessageBody": None},
            "MissingParameter",
            "MissingRequiredParameterException",
            "The request must contain the parameter MessageBody.",
        ),
        (
            "SendMessageBatch",
            {"QueueUrl": "u", "Entries": [{"Id": "a"}]},
            "MissingParameter",
            "MissingRequiredParameterException",
            "The request must contain the parameter MessageBody.",
        ),
        (
            "Publish",
            {},
            "InvalidAction",
            "UnknownOperationException",
            "The action Publish is not valid for this endpoint.",
        ),
    ],
)
def test_json_that_is_refused(
    action: str, params: Any, code: str, shape: str, message: str | None
) -> None:
    actions = Actions()
    answer = post_json(make_app(actions), action, params)
    assert answer.status == 400
    assert answer.json["__type"] == f"com.amazon.coral.service#{shape}"
    assert answer.headers["x-amzn-query-error"] == f"{code};Sender"
    assert answer.headers["content-type"] == "application/x-amz-json-1.0"
    assert message in (answer.json["message"], None)
    assert not actions.calls


@pytest.mark.parametrize(
    "params", [b"", b"{}", b'{"Later": [1, {"a": null}]}', b'{"MaxResults": null}']
)
def test_json_says_nothing_in_many_ways(params: bytes) -> None:
    actions = Actions()
    assert post_json(make_app(actions), "ListQueues", params).json == {}
    assert actions.calls[0].params == {}


@pytest.mark.parametrize(
    "headers",
    [
        [("x-amz-target", "AmazonSQS.ListQueues"), ("content-type", "application/x-amz-json-1.1")],
        [("x-amz-target", "AmazonSQS.ListQueues"), ("content-type", "application/json")],
        [("x-amz-target", "AmazonSQS.ListQueues")],
        [("x-amz-target", "AmazonSQS.ListQueues"), ("content-type", f"{JSON[1]}; charset=UTF-8")],
    ],
)
def test_the_target_header_makes_it_json(headers: list[tuple[str, str]]) -> None:
    answer = post(make_app(Actions()), b"{}", *headers)
    assert (answer.status, answer.headers["content-type"]) == (200, JSON[1])


@pytest.mark.parametrize(
    ("headers", "shape"),
    [
        ([JSON], "UnknownOperationException"),
        ([JSON, ("x-amz-target", "AmazonSNS.Publish")], "UnknownOperationException"),
        ([JSON, ("x-amz-target", "AmazonSNS.ListQueues")], "UnknownOperationException"),
        ([JSON, ("x-amz-target", "AmazonSQS")], "UnknownOperationException"),
        ([JSON, ("x-amz-target", "AmazonSQS.<Nothing>")], "UnknownOperationException"),
        (
            [
                ("x-amz-target", "AmazonSQS.ListQueues"),
                ("content-type", f"{JSON[1]};charset=latin1"),
            ],
            "SerializationException",
        ),
        (
            [JSON, ("x-amz-target", "AmazonSQS.ListQueues"), ("content-encoding", "gzip")],
            "SerializationException",
        ),
    ],
)
def test_json_headers_that_are_refused(headers: list[tuple[str, str]], shape: str) -> None:
    actions = Actions()
    answer = post(make_app(actions), b"{}", *headers)
    assert answer.status == 400
    assert answer.json["__type"] == f"com.amazon.coral.service#{shape}"
    assert not actions.calls
