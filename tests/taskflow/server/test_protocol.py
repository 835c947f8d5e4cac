"""Both dialects: what botocore writes is read, and what is written botocore reads."""

# botocore has no types.
# mypy: allow-untyped-calls

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskflow.server.protocol import check_result
from taskflow.wire.error_codes import WireError, common_error, service_error
from taskflow.wire.shapes import load_services
from tests.taskflow.server.wire import (
    ANY_TEXT,
    Actions,
    Answer,
    Peer,
    all_peers,
    fit,
    make_app,
    model_of,
    post_form,
    post_json,
)

PEERS = all_peers()
# What an XML 1.0 document can hold.
XML_TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="\ufffe\uffff", min_codepoint=32)
    | st.sampled_from("\t\n\r"),
    max_size=12,
)


def without_empty(value: Any) -> Any:
    """A result as it comes back: what is empty was not sent."""
    if isinstance(value, list):
        return [without_empty(item) for item in value]
    if isinstance(value, dict):
        return {name: without_empty(item) for name, item in value.items() if item not in ([], {})}
    return value


@pytest.mark.parametrize("peer", PEERS, ids=lambda p: f"{p.protocol}-{p.operation.name}")
@settings(
    max_examples=settings().max_examples // 6,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_every_operation_travels_both_ways(peer: Peer, data: st.DataObject) -> None:
    operation, query = peer.operation, peer.protocol == "query"
    # The query protocol has no way to write an empty map.
    params = data.draw(fit(operation.input_shape, ANY_TEXT, int(query)))
    result = {}
    if operation.output_shape is not None:
        result = data.draw(fit(operation.output_shape, XML_TEXT if query else ANY_TEXT, 0))
    actions = Actions(result)
    answer = peer.call(make_app(actions), params)
    assert answer.status == 200, answer.body
    (call,) = actions.calls
    assert (call.service, call.action) == (operation.service_model.service_name, operation.name)
    assert call.params == params
    # SNS and STS write an empty list or map as an empty element, SQS and JSON leave it out.
    keeps_empty = operation.service_model.service_name != "sqs"
    assert peer.parse(answer) == (result if keeps_empty else without_empty(result))


def refuse(error: WireError, service: str, json_call: bool) -> Answer:
    """The answer to a call whose action raises."""

    def fail(_: Any) -> None:
        raise error

    actions = {("sqs", "ListQueues"): fail, ("sns", "ListTopics"): fail}
    app = make_app(actions)
    if json_call:
        return post_json(app, "ListQueues", {})
    return post_form(app, {"Action": "ListQueues" if service == "sqs" else "ListTopics"})


def test_an_error_in_json_carries_both_names() -> None:
    answer = refuse(service_error("sqs", "QueueDoesNotExist"), "sqs", True)
    assert answer.status == 400
    assert answer.headers["x-amzn-query-error"] == "AWS.SimpleQueueService.NonExistentQueue;Sender"
    assert answer.json == {
        "__type": "com.amazonaws.sqs#QueueDoesNotExist",
        "message": "The specified queue does not exist.",
    }
    peer = Peer(model_of("sqs", "json").operation_model("ListQueues"), "json")
    assert peer.parse(answer)["Error"] == {
        "Code": "AWS.SimpleQueueService.NonExistentQueue",
        "QueryErrorCode": "QueueDoesNotExist",
        "Message": "The specified queue does not exist.",
        "Type": "Sender",
    }


def test_an_error_in_xml_says_wsdl_for_an_unknown_queue() -> None:
    answer = refuse(service_error("sqs", "QueueDoesNotExist"), "sqs", False)
    assert answer.status == 400
    assert answer.body == (
        b'<?xml version="1.0"?>\n'
        b'<ErrorResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><Error>'
        b"<Type>Sender</Type><Code>AWS.SimpleQueueService.NonExistentQueue</Code>"
        b"<Message>The specified queue does not exist for this wsdl version.</Message>"
        b"<Detail/></Error><RequestId>r1</RequestId></ErrorResponse>\n"
    )
    peer = Peer(model_of("sqs", "query").operation_model("ListQueues"), "query")
    assert peer.parse(answer)["Error"] == {
        "Code": "AWS.SimpleQueueService.NonExistentQueue",
        "Message": "The specified queue does not exist for this wsdl version.",
        "Type": "Sender",
        "Detail": None,
    }


def test_an_error_of_sns_has_no_detail() -> None:
    answer = refuse(service_error("sns", "NotFoundException", "Topic does not exist"), "sns", False)
    assert answer.status == 404
    assert answer.body == (
        b'<?xml version="1.0"?>\n'
        b'<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error>'
        b"<Type>Sender</Type><Code>NotFound</Code><Message>Topic does not exist</Message></Error>"
        b"<RequestId>r1</RequestId></ErrorResponse>\n"
    )


@pytest.mark.parametrize("json_call", [True, False])
def test_a_fault_of_the_server_is_the_receivers(json_call: bool) -> None:
    answer = refuse(common_error("ServiceUnavailable", "Later"), "sqs", json_call)
    assert answer.status == 503
    if json_call:
        assert answer.headers["x-amzn-query-error"] == "ServiceUnavailable;Receiver"
    else:
        assert answer.xml["Type"] == "Receiver"


def test_an_answer_without_output_has_no_result_element() -> None:
    answer = post_form(make_app(Actions()), {"Action": "PurgeQueue", "QueueUrl": "u"})
    assert answer.headers["content-type"] == "text/xml"
    assert answer.body == (
        b'<?xml version="1.0"?>\n'
        b'<PurgeQueueResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/">'
        b"<ResponseMetadata><RequestId>r1</RequestId></ResponseMetadata></PurgeQueueResponse>\n"
    )


def test_lists_and_maps_are_flat_in_sqs_and_not_in_sns() -> None:
    message = {"Body": "a\r\n<b>", "Attributes": {"SenderId": "s"}, "MD5OfBody": None}
    app = make_app(Actions({"Messages": [message]}))
    answer = post_form(app, {"Action": "ReceiveMessage", "QueueUrl": "u"})
    assert (
        b"<ReceiveMessageResult><Message><Body>a&#xD;\n&lt;b&gt;</Body><Attribute>"
        b"<Name>SenderId</Name><Value>s</Value></Attribute></Message></ReceiveMessageResult>"
    ) in answer.body
    app = make_app(Actions({"Attributes": {"Owner": "o"}}))
    answer = post_form(app, {"Action": "GetTopicAttributes", "TopicArn": "t"})
    assert (
        b"<Attributes><entry><key>Owner</key><value>o</value></entry></Attributes>"
    ) in answer.body
    app = make_app(Actions({"Topics": [{"TopicArn": "t"}]}))
    assert (b"<Topics><member><TopicArn>t</TopicArn></member></Topics>") in post_form(
        app, {"Action": "ListTopics"}
    ).body


def test_what_xml_cannot_hold_does_not_break_the_answer() -> None:
    app = make_app(Actions({"Tags": {"a\0": "\x1f\ufffe\U0001f600"}}))
    answer = post_form(app, {"Action": "ListQueueTags", "QueueUrl": "u"})
    assert (answer.xml["Key"], answer.xml["Value"]) == ("a\ufffd", "\ufffd\ufffd\U0001f600")


@pytest.mark.parametrize(
    "result",
    [
        {"QueueUrls": "u"},
        {"QueueUrls": [1]},
        {"Urls": []},
        {"NextToken": b"n"},
        {"NextToken": 1},
        "text",
    ],
)
def test_a_result_that_does_not_fit_is_the_servers_fault(result: Any) -> None:
    for answer in (
        post_json(make_app(Actions(result)), "ListQueues", {}),
        post_form(make_app(Actions(result)), {"Action": "ListQueues"}),
    ):
        assert answer.status == 500
        assert b"InternalFailure" in answer.body


def test_a_result_that_does_not_fit_says_where() -> None:
    shape = load_services()["sqs"].operations["ReceiveMessage"].output
    with pytest.raises(TypeError, match=r"^result has no member Message$"):
        check_result(shape, {"Message": []})
    with pytest.raises(TypeError, match=r"^result.Messages\[\].Attributes\['a'\] is 1, .* string$"):
        check_result(shape, {"Messages": [{"Attributes": {"a": 1}}]})
