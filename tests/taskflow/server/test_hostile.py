"""Requests made to hurt: none stops the server, reaches what is hidden or undoes others' work."""

# boto3 and botocore have no types.
# mypy: allow-untyped-calls

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from taskflow.dashboard.failure_view import failure_of
from taskflow.dashboard.hiding import Hiding
from taskflow.errors import BrokerUnavailable
from taskflow.message import FAILURE, Delivery, Message
from taskflow.server.access import Access
from taskflow.server.access_key import Key
from taskflow.server.backend import Backend
from taskflow.server.keys import Keys
from taskflow.server.page_access import PageAccess
from taskflow.server.protocol import HttpRequest
from taskflow.server.wire_call import Call, Caller
from taskflow.wire.error_codes import WireError
from taskflow.wire.message_attributes import read_sns_attributes, read_sqs_attributes
from tests.taskflow.server.wire import JSON, Actions, make_app, post

QUEUE = "arn:aws:sqs:us-east-1:000000000000:"
TOPIC = "arn:aws:sns:us-east-1:000000000000:"
Refused = Callable[..., tuple[str, str, str]]


# ---- texts that take long to read ---------------------------------------------------------------
@pytest.mark.timeout(20)
@pytest.mark.parametrize("read", [read_sqs_attributes, read_sns_attributes])
@pytest.mark.parametrize("text", ["1" * 300_000 + "x", "1" * 150_000 + "." + "1" * 150_000 + "x"])
def test_a_long_text_that_is_nearly_a_number_is_refused_at_once(read: Any, text: str) -> None:
    with pytest.raises(WireError, match="number"):
        read({"n": {"DataType": "Number", "StringValue": text}})


@pytest.mark.parametrize("zeros", [1, 30, 5000])
def test_a_content_length_may_begin_with_zeros(zeros: int) -> None:
    body = json.dumps({"QueueName": "a"}).encode()
    headers = (
        *(JSON, ("x-amz-target", "AmazonSQS.CreateQueue")),
        ("content-length", "0" * zeros + str(len(body))),
    )
    actions = Actions()
    post(make_app(actions), body, *headers)
    assert [call.params for call in actions.calls] == [{"QueueName": "a"}]
    assert post(make_app(actions), body + b" ", *headers).status == 400
    assert len(actions.calls) == 1


@pytest.mark.parametrize("depth", [1, 400, *range(900, 1000, 7), 5000])
def test_a_failure_record_is_shown_whatever_is_nested_in_it(depth: int) -> None:
    record = f'{{"x": {"[" * depth}{"]" * depth}, "at": 1.5, "traceback": {{"a": 1}}}}'
    letter = Delivery("m", "", "{}", {FAILURE: record}, "q", "", 1, 0.0, 0.0, 0.0)
    shown = failure_of(letter, Hiding())
    assert shown is not None
    assert all(isinstance(value, str | int | float) for value in shown.facts.values())
    assert isinstance(shown.traceback, str)


# ---- browsers -----------------------------------------------------------------------------------
@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys.load(tmp_path / "broker.db-keys.json")


@pytest.fixture
def access(backend: Backend, keys: Keys) -> Access:
    return Access(backend, keys)


@pytest.mark.parametrize(
    "headers",
    [
        (("host", "h"), ("origin", "http://[")),
        (("host", "["), ("origin", "http://h")),
        (("host", "[::1"), ("sec-fetch-site", "none")),
    ],
)
def test_an_address_with_half_a_bracket_is_another_site(
    access: Access, keys: Keys, headers: tuple[tuple[str, str], ...]
) -> None:
    request = HttpRequest("POST", "http", "127.0.0.1:9324", "/", "", headers)
    with pytest.raises(WireError) as caught:
        access.authenticate(request, "sqs", "ListQueues")
    assert caught.value.status == 403
    refusal = PageAccess(keys).allows(request, "read")
    assert refusal is not None
    assert refusal.status == 403


# ---- hidden queues ------------------------------------------------------------------------------
@pytest.fixture
def hidden(sns: Any, make_queue: Callable[..., str], backend: Backend) -> str:
    """The name of the hidden queue of a URL's subscription; `work` has `work-dlq`."""
    make_queue("work-dlq")
    policy = {"deadLetterTargetArn": f"{QUEUE}work-dlq", "maxReceiveCount": 1}
    make_queue("work", RedrivePolicy=json.dumps(policy))
    arn = sns.create_topic(Name="news")["TopicArn"]
    sns.subscribe(TopicArn=arn, Protocol="http", Endpoint="http://localhost/x")
    (one,) = backend.broker.subscriptions()
    return one.queue


def test_the_hidden_queue_of_a_url_is_no_queue_to_clients(
    sqs: Any, sns: Any, hidden: str, refused: Refused, backend: Backend
) -> None:
    arn, url = QUEUE + hidden, f"http://localhost/000000000000/{hidden}"
    before = backend.broker.counts(hidden)
    backend.broker.send("work-dlq", [Message("a", "a")])
    refused(sqs.get_queue_url, QueueName=hidden)
    refused(sqs.create_queue, QueueName=hidden)
    refused(sqs.send_message, QueueUrl=url, MessageBody="x")
    refused(sqs.list_message_move_tasks, SourceArn=arn)
    refused(sqs.start_message_move_task, SourceArn=arn)
    refused(sqs.start_message_move_task, SourceArn=f"{QUEUE}work-dlq", DestinationArn=arn)
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    work = "http://localhost/000000000000/work"
    refused(sqs.set_queue_attributes, QueueUrl=work, Attributes={"RedrivePolicy": policy})
    refused(sns.subscribe, TopicArn=f"{TOPIC}news", Protocol="sqs", Endpoint=arn)
    assert backend.broker.counts(hidden) == before
    assert backend.broker.counts("work-dlq").visible == 1


@pytest.mark.parametrize(
    ("service", "action", "parameter"),
    [("sqs", "GetQueueUrl", "QueueName"), ("sns", "GetTopicAttributes", "TopicArn")],
)
def test_a_refusal_does_not_tell_what_there_is(
    sns: Any,
    make_queue: Callable[..., str],
    keys: Keys,
    backend: Backend,
    run: Any,
    service: str,
    action: str,
    parameter: str,
) -> None:
    make_queue("there")
    sns.create_topic(Name="there")
    key = keys.add("limited", 0.0, queues=["lim-*"], topics=["lim-*"])
    (guarded,) = Access(backend, keys).guard({(service, action): lambda _: None}).values()
    caller = Caller("000000000000", "arn:aws:iam::000000000000:user/limited", key.access_key_id)
    texts = set()
    for name in ("there", "gone"):
        params = {parameter: name if service == "sqs" else TOPIC + name}
        call = Call(
            service, action, params, "us-east-1", caller.account, caller, "http://localhost", "r", 0
        )
        with pytest.raises(WireError) as caught:
            run(guarded(call))
        assert caught.value.status == 403
        texts.add(caught.value.message.replace(name, "NAME"))
    assert len(texts) == 1


def test_a_policy_that_cannot_be_asked_lets_nobody_in(
    make_queue: Callable[..., str],
    keys: Keys,
    backend: Backend,
    run: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = make_queue("work")
    key = keys.add("shop", 0.0)
    done: list[Call] = []
    actions = Access(backend, keys).guard({("sqs", "SendMessage"): done.append})
    caller = Caller("000000000000", "arn:aws:iam::000000000000:user/shop", key.access_key_id)
    params = {"QueueUrl": url, "MessageBody": "x"}
    call = Call(
        "sqs", "SendMessage", params, "us-east-1", caller.account, caller, "http://h", "r", 0
    )
    with monkeypatch.context() as patch:
        patch.setattr(backend.broker, "settings", fail)
        with pytest.raises(BrokerUnavailable):
            run(actions["sqs", "SendMessage"](call))
    assert done == []
    run(actions["sqs", "SendMessage"](call))
    assert done == [call]


def fail(*_: object) -> None:
    raise BrokerUnavailable("locked")


def test_what_is_kept_as_it_comes_is_no_longer_than_a_name(
    sqs: Any, sns: Any, make_queue: Callable[..., str], refused: Refused
) -> None:
    long = "k" * 2049
    arn = sns.create_topic(Name="news")["TopicArn"]
    fits, url = {"KmsMasterKeyId": long[1:]}, make_queue("work")
    sqs.set_queue_attributes(QueueUrl=url, Attributes=fits)
    sns.set_topic_attributes(TopicArn=arn, AttributeName="KmsMasterKeyId", AttributeValue=long[1:])
    refused(sqs.set_queue_attributes, QueueUrl=url, Attributes={"KmsMasterKeyId": long})
    for name in ("KmsMasterKeyId", "HTTPSuccessFeedbackRoleArn", "DisplayName"):
        given = {"TopicArn": arn, "AttributeName": name, "AttributeValue": long}
        refused(sns.set_topic_attributes, **given)
    endpoint = f"http://localhost/{long}"
    refused(sns.subscribe, TopicArn=arn, Protocol="http", Endpoint=endpoint)
    role = {"SubscriptionRoleArn": long}
    queue = f"{QUEUE}work"
    refused(sns.subscribe, TopicArn=arn, Protocol="sqs", Endpoint=queue, Attributes=role)


# ---- what belongs to others ---------------------------------------------------------------------
def test_a_task_handle_cancels_the_task_of_its_own_queue_only(
    sqs: Any, make_queue: Callable[..., str], refused: Refused, backend: Backend
) -> None:
    make_queue("mine")
    make_queue("work-dlq")
    policy = {"deadLetterTargetArn": f"{QUEUE}work-dlq", "maxReceiveCount": 1}
    make_queue("work", RedrivePolicy=json.dumps(policy))
    backend.broker.send("work-dlq", [Message("a", "a")])
    handle = sqs.start_message_move_task(SourceArn=f"{QUEUE}work-dlq")["TaskHandle"]
    parts = json.loads(urlsafe_b64decode(handle)) | {"sourceArn": f"{QUEUE}mine"}
    forged = urlsafe_b64encode(json.dumps(parts).encode()).decode()
    assert refused(sqs.cancel_message_move_task, TaskHandle=forged)[0] == (
        "ResourceNotFoundException"
    )
    assert [task.status for task in backend.broker.moves()] == ["RUNNING"]
    sqs.cancel_message_move_task(TaskHandle=handle)
    assert [task.status for task in backend.broker.moves()] == ["CANCELLED"]


@pytest.fixture
def key(keys: Keys) -> Key:
    """One that may do everything, but only with what is called mine."""
    return keys.add("mine", 0.0, queues=["mine*"], topics=["mine*"])


@pytest.mark.parametrize(("target", "code"), [("mine-dlq", None), ("work", "AccessDenied")])
@pytest.mark.parametrize("action", ["CreateQueue", "SetQueueAttributes"])
def test_dead_letters_go_to_queues_of_the_key_only(
    access: Access, key: Key, run: Any, target: str, code: str | None, action: str
) -> None:
    policy = json.dumps({"deadLetterTargetArn": QUEUE + target, "maxReceiveCount": 1})
    place = {"QueueName": "mine", "QueueUrl": "/000000000000/mine"}
    params = {"Attributes": {"RedrivePolicy": policy}, **place}
    assert refusal_of(access, run, "sqs", action, key, **params) == code


@pytest.mark.parametrize(("target", "code"), [("mine-dlq", None), ("work", "AuthorizationError")])
@pytest.mark.parametrize("action", ["Subscribe", "SetSubscriptionAttributes"])
def test_what_a_url_does_not_take_goes_to_queues_of_the_key_only(
    access: Access, key: Key, run: Any, target: str, code: str | None, action: str
) -> None:
    policy = json.dumps({"deadLetterTargetArn": QUEUE + target})
    params: dict[str, Any] = {"SubscriptionArn": f"{TOPIC}mine:1"}
    params |= {"AttributeName": "RedrivePolicy", "AttributeValue": policy}
    if action == "Subscribe":
        params = {"TopicArn": f"{TOPIC}mine", "Protocol": "http", "Endpoint": "http://h"}
        params["Attributes"] = {"RedrivePolicy": policy}
    assert refusal_of(access, run, "sns", action, key, **params) == code


@pytest.mark.parametrize(
    "policy", ["", "{}", "no JSON", "[]", '{"deadLetterTargetArn": 1}', "[" * 5000]
)
def test_a_redrive_policy_that_cannot_be_read_is_left_to_the_action(
    access: Access, key: Key, run: Any, policy: str
) -> None:
    params = {"QueueUrl": "/000000000000/mine", "Attributes": {"RedrivePolicy": policy}}
    assert refusal_of(access, run, "sqs", "SetQueueAttributes", key, **params) is None


def refusal_of(
    access: Access, run: Any, service: str, action: str, key: Key, **params: Any
) -> str | None:
    """The error code of an action through the gate, or None."""

    async def nothing(_: Call) -> None:
        return None

    guarded: Any = access.guard({(service, action): nothing})[service, action]
    account = "000000000000"
    caller = Caller(account, f"arn:aws:iam::{account}:user/{key.name}", key.access_key_id)
    call = Call(service, action, params, "us-east-1", account, caller, "http://h", "r", 0.0)
    try:
        run(guarded(call))
    except WireError as error:
        return error.code
    return None


# ---- at once ------------------------------------------------------------------------------------
def test_changes_of_one_queue_at_once_are_all_kept(
    sqs: Any, make_queue: Callable[..., str]
) -> None:
    url = make_queue("work")

    def permit(number: int) -> None:
        sqs.add_permission(
            QueueUrl=url, Label=f"p{number}", AWSAccountIds=["123456789012"], Actions=["*"]
        )

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(permit, range(32)))
    shown = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]
    labels = {statement["Sid"] for statement in json.loads(shown["Policy"])["Statement"]}
    assert labels == {f"p{number}" for number in range(32)}
