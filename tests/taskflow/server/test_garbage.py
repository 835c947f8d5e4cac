"""Garbage, and requests that are nearly right: refused in words, never run half."""

# botocore has no types.
# mypy: allow-untyped-calls

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.validate import ParamValidator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.taskflow.server.wire import (
    ANY_TEXT,
    FORM,
    JSON,
    Actions,
    Answer,
    Peer,
    all_peers,
    fit,
    make_app,
    model_of,
    post,
    post_json,
)

PEERS = all_peers()
NAMES = [peer.operation.name for peer in PEERS]
WORDS = [
    *("QueueUrl", "MessageBody", "Entries", "Attributes", "Attribute", "Name", "Value", "Tags"),
    *("MessageAttribute", "MessageAttributes", "entry", "member", "1", "2", "-1", "key", "value"),
    *("DataType", "BinaryValue", "SendMessageBatchRequestEntry", "TopicArn", "Id", "TagKey", ""),
]
TEXTS = st.text(max_size=8) | st.sampled_from(["", "1", "true", "AAE=", "u", "String"])
NUMBERS = st.integers() | st.floats() | st.booleans() | st.none()
ANY_JSON = st.recursive(
    NUMBERS | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(WORDS) | TEXTS, inner, max_size=6)
    ),
    max_leaves=12,
)
FIELDS = st.dictionaries(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(".".join) | TEXTS,
    TEXTS,
    max_size=12,
)


def encode_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def encode_form(fields: dict[str, str]) -> bytes:
    return urlencode(fields, errors="replace").encode()


BODIES = st.binary(max_size=60) | ANY_JSON.map(encode_json) | FIELDS.map(encode_form)
HEADERS = st.sampled_from(
    [
        FORM,
        JSON,
        ("content-type", "multipart/form-data; boundary=x"),
        ("content-type", "text/plain; charset=\xff"),
        ("content-type", ";;=;charset"),
        ("content-encoding", "br"),
        ("content-length", "7"),
        ("content-length", "-1"),
        ("content-length", "\xb2"),
        ("x-amz-target", "AmazonSQS"),
        ("x-amz-target", "\xff.."),
        ("host", "a b"),
        ("authorization", "AWS4-HMAC-SHA256 x"),
    ]
)


@pytest.mark.slow
@pytest.mark.fuzz
@settings(max_examples=600, deadline=None)
@given(
    method=st.sampled_from(["POST", "POST", "POST", "GET", "PUT", "HEAD", "x"]),
    path=st.sampled_from(["/", "/000000000000/q", "//", "/%00", "/../x", "/a b"]),
    query=st.sampled_from(["", "Action=%", "Action=SendMessage", "Action=ListTopics&=&&=="]),
    action=st.sampled_from(NAMES) | TEXTS,
    as_json=st.booleans(),
    headers=st.lists(HEADERS, max_size=3),
    body=BODIES,
)
def test_garbage_is_refused_in_words(
    method: str,
    path: str,
    query: str,
    action: str,
    as_json: bool,
    headers: list[tuple[str, str]],
    body: bytes,
) -> None:
    actions = Actions()
    if as_json:
        target = action.encode("ascii", "replace").decode()
        headers = [("x-amz-target", f"AmazonSQS.{target}"), *headers]
    elif not query:
        body = encode_form({"Action": action}) + b"&" + body
    answer = post(make_app(actions), body, *headers, path=path, query=query, method=method)
    check_sense(answer, actions)


def check_sense(answer: Answer, actions: Actions) -> None:
    """No 5xx; and an action was called if and only if all went well, with what fits its shape."""
    assert answer.status == 200 or 400 <= answer.status < 500
    assert len(actions.calls) == int(answer.status == 200)
    for call in actions.calls:
        shape = model_of(call.service, "json").operation_model(call.action).input_shape
        report = ParamValidator().validate(dict(call.params), shape).generate_report()
        # Lengths are for the actions to judge; types and members are not.
        assert [line for line in report.splitlines() if "Invalid length" not in line] == []


def spoil(data: st.DataObject, value: Any) -> Any:
    """The value with something else somewhere inside."""
    if not isinstance(value, dict | list) or not value or data.draw(st.integers(0, 3)) == 0:
        return data.draw(ANY_JSON)
    keys = list(value) if isinstance(value, dict) else range(len(value))
    key = data.draw(st.sampled_from(keys))
    changed = value.copy()
    if data.draw(st.booleans()):
        changed[key] = spoil(data, value[key])
    elif isinstance(changed, dict):
        item = changed.pop(key)
        if data.draw(st.booleans()):
            changed[data.draw(st.sampled_from(WORDS))] = item
    return changed


def spoil_name(data: st.DataObject, name: str) -> str:
    """A field's name with a part changed, or one more or less."""
    parts = name.split(".")
    at = data.draw(st.integers(0, len(parts) - 1))
    parts[at : at + data.draw(st.integers(0, 1))] = data.draw(
        st.lists(st.sampled_from(WORDS), max_size=2)
    )
    return ".".join(parts)


@pytest.mark.slow
@pytest.mark.fuzz
@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(peer=st.sampled_from(PEERS), data=st.data())
def test_a_request_that_is_nearly_right_is_run_or_refused(peer: Peer, data: st.DataObject) -> None:
    params = data.draw(fit(peer.operation.input_shape, ANY_TEXT, 1))
    actions = Actions()
    body = peer.serialize(params)["body"]
    if isinstance(body, dict):
        fields = {
            spoil_name(data, name) if data.draw(st.integers(0, 5)) == 0 else name: value
            for name, value in body.items()
        }
        if data.draw(st.booleans()):
            fields[data.draw(st.sampled_from(list(fields)))] = data.draw(TEXTS)
        answer = post(make_app(actions), encode_form(fields), FORM)
    else:
        changed = spoil(data, json.loads(body))
        answer = post_json(make_app(actions), peer.operation.name, encode_json(changed))
    check_sense(answer, actions)
