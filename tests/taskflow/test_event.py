"""Events and the CloudEvents 1.0 JSON around them."""

import dataclasses
import json
import random
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow import Event
from taskflow.errors import DecodeError, LimitExceeded
from taskflow.event import open_envelope, to_event, trace_child
from taskflow.payload import decoder
from tests.taskflow.making import cloud_event, delivery

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
FULL = Event(
    topic="order.created",
    payload={"order_id": "o1", "name": "Ana „ñ“"},
    id="e1",
    time=1_769_860_800.25,
    source="shop",
    subject="o1",
    correlation_id="c1",
    causation_id="e0",
    traceparent=f"00-{TRACE}-{SPAN}-01",
    attributes={"colour": "blue"},
)


def read(body: str | dict[str, Any], annotation: Any = Any) -> Event[Any]:
    received = delivery(body)
    return to_event(received, open_envelope(received), decoder(annotation))


def test_the_body_is_cloudevents_json_exactly() -> None:
    message = FULL.message(delay=3.0)
    assert json.loads(message.body) == {
        "specversion": "1.0",
        "id": "e1",
        "source": "shop",
        "type": "order.created",
        "time": "2026-01-31T12:00:00.250000Z",
        "subject": "o1",
        "correlationid": "c1",
        "causationid": "e0",
        "traceparent": f"00-{TRACE}-{SPAN}-01",
        "data": {"order_id": "o1", "name": "Ana „ñ“"},
    }
    assert (message.id, message.attributes, message.delay) == ("e1", {"colour": "blue"}, 3.0)


def test_what_is_not_given_is_not_written() -> None:
    body = json.loads(Event(topic="t", payload=1, id="e1", time=0.0).message().body)
    assert body == {
        "specversion": "1.0",
        "id": "e1",
        "source": "taskflow",
        "type": "t",
        "time": "1970-01-01T00:00:00.000000Z",
        "data": 1,
    }


def test_an_event_comes_back_as_it_was() -> None:
    message = FULL.message()
    received = dataclasses.replace(delivery(message.body, attempt=4), attributes=message.attributes)
    back = to_event(received, open_envelope(received), decoder(Any))
    assert back == msgspec.structs.replace(FULL, attempt=4)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


@given(JSON)
def test_any_json_payload_comes_back(payload: object) -> None:
    try:
        message = Event(topic="t", payload=payload, id="e1", time=0.0).message()
    except LimitExceeded:  # SQS forbids a few characters
        return
    assert read(message.body).payload == payload


def test_a_payload_of_none_comes_back() -> None:
    assert read(Event(topic="t", payload=None, id="e1", time=0.0).message().body).payload is None


def test_the_least_foreign_event_is_understood() -> None:
    event = read(cloud_event())
    assert event == Event(
        topic="made", payload=None, id="e1", time=900.0, source="shop", attempt=1
    )  # without a time of its own it happened when it was sent


def test_foreign_extensions_are_ignored() -> None:
    body = cloud_event(
        datacontenttype="application/json",
        dataschema="https://example.org/schema",
        partitionkey="7",
        sampled=True,
        time="2026-01-31T13:00:00+01:00",
        data={"n": 1},
    )
    event = read(body, dict[str, int])
    assert (event.payload, event.time) == ({"n": 1}, 1_769_860_800.0)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("hello", "malformed"),
        ("[1]", "Expected `object`"),
        ("null", "Expected `object`"),
        ('{"specversion": "1.0"', "truncated"),
        (cloud_event(id=None), "required field `id`"),
        (cloud_event(type=None), "required field `type`"),
        (cloud_event(source=None), "required field `source`"),
        (cloud_event(specversion=None), "required field `specversion`"),
        (cloud_event(id=5), r"Expected `str`, got `int` - at `\$.id`"),
        (cloud_event(specversion="2.0"), "specversion must be '1.0'"),
        (cloud_event(specversion="0.3"), "specversion must be '1.0'"),
        (cloud_event(id=""), "must not be empty"),
        (cloud_event(type=""), "must not be empty"),
        (cloud_event(source=""), "must not be empty"),
        (cloud_event(data_base64="AAAA"), "binary data"),
        ('{"data": ' + "[" * 100_000, "recursion"),
        (json.dumps(cloud_event())[:-1] + ', "data": ' + "[" * 99999 + "]" * 99999 + "}", "recurs"),
    ],
)
def test_what_is_no_cloud_event_is_refused_with_the_reason(body: Any, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        read(body)


@pytest.mark.parametrize("time", ["", "today", "2026-01-31T12:00:00"])
def test_a_time_that_is_none_is_refused(time: str) -> None:
    with pytest.raises(DecodeError, match="the event's time is no RFC 3339 time"):
        read(cloud_event(time=time))


def test_a_payload_that_is_no_json_cannot_be_sent() -> None:
    with pytest.raises(TypeError, match="type object cannot be written as JSON"):
        Event(topic="t", payload=object(), id="e1", time=0.0).message()


def test_an_event_over_the_limit_cannot_be_sent() -> None:
    with pytest.raises(LimitExceeded, match="1048576 are allowed"):
        Event(topic="t", payload="x" * 1_048_576, id="e1", time=0.0).message()


# ---- traces -----------------------------------------------------------------------------------
def child(parent: str | None) -> tuple[str, str, str]:
    text = trace_child(parent, random.Random(7))
    found = re.fullmatch("00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", text)
    assert found, text
    trace, span, flags = found.groups()
    assert int(trace, 16)
    assert int(span, 16)
    return trace, span, flags


@pytest.mark.parametrize("flags", ["00", "01"])
def test_a_child_keeps_trace_and_flags_and_has_a_span_of_its_own(flags: str) -> None:
    trace, span, kept = child(f"00-{TRACE}-{SPAN}-{flags}")
    assert (trace, kept) == (TRACE, flags)
    assert span != SPAN


@pytest.mark.parametrize("parent", [f"cc-{TRACE}-{SPAN}-01", f"01-{TRACE}-{SPAN}-01-what-ever"])
def test_a_parent_of_a_future_version_is_continued_in_ours(parent: str) -> None:
    assert child(parent)[0] == TRACE


@pytest.mark.parametrize(
    "parent",
    [
        None,
        "",
        "junk",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f"01-{TRACE}-{SPAN}-01x",
    ],
)
def test_an_invalid_parent_starts_a_new_trace(parent: str | None) -> None:
    assert child(parent)[0] != TRACE
