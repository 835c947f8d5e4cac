"""Settings of queues as SQS's attributes, and back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.broker.settings import QueueSettings
from taskflow.limits import MAX_RECEIVES
from taskflow.wire.queue_attributes import (
    MAX_DELAY,
    NUMBERS,
    changed_queue,
    read_queue,
    show_encryption,
    whole_seconds,
    write_queue,
)
from taskflow.wire.redrive import HEADROOM, read_redrive

ARN = "arn:aws:sqs:eu-central-1:123456789012:"
NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True)
POLICY = '{"Version":"2012-10-17","Statement":[]}'


def arn_of(name: str) -> str:
    return ARN + name


def name_of(arn: str) -> str | None:
    return arn.removeprefix(ARN) if arn.startswith(ARN) else None


def number(name: str) -> st.SearchStrategy[int]:
    _, least, most = NUMBERS[name]
    return st.integers(least, most)


@st.composite
def settings(draw: st.DrawFn, fifo: bool) -> QueueSettings:
    """Settings that SQS can have: whole seconds, a delay it takes."""
    given: dict[str, Any] = {
        field: draw(number(name)) for name, (field, *_) in NUMBERS.items() if field != "delay"
    }
    given["delay"] = draw(st.integers(0, min(MAX_DELAY, given["retention"])))
    if draw(st.booleans()):
        given |= {
            "dead_letter_queue": draw(NAMES),
            "max_receives": draw(st.integers(1, MAX_RECEIVES - HEADROOM)),
        }
    given["redrive_sources"] = draw(st.none() | st.lists(NAMES, max_size=10).map(tuple))
    given["policy"] = draw(st.sampled_from([None, POLICY]))
    given["others"] = draw(
        st.sampled_from(
            [
                {},
                {"KmsMasterKeyId": "alias/a"},
                {"KmsMasterKeyId": "alias/a", "KmsDataKeyReusePeriodSeconds": "600"},
                {"SqsManagedSseEnabled": "false"},
            ]
        )
    )
    if fifo:
        given["content_based_deduplication"] = draw(st.booleans())
        scope = draw(st.sampled_from(["queue", "messageGroup"]))
        given["deduplication_scope"] = scope
        if scope == "messageGroup":
            given["throughput_limit"] = draw(st.sampled_from(["perQueue", "perMessageGroupId"]))
    return QueueSettings(**given)


def queues() -> st.SearchStrategy[tuple[str, QueueSettings]]:
    return st.one_of(
        st.tuples(st.just("work"), settings(False)), st.tuples(st.just("work.fifo"), settings(True))
    )


@given(queues(), st.booleans())
def test_settings_come_back_as_they_were(queue: tuple[str, QueueSettings], headroom: bool) -> None:
    name, before = queue
    texts = write_queue(name, before, arn_of, headroom)
    assert read_queue(name, texts, name_of, headroom) == before
    shown = texts | show_encryption(before.others)
    assert read_queue(name, shown, name_of, headroom) == before, "with what SQS adds"


@pytest.mark.slow
@given(queues(), settings(True))
def test_what_is_changed_makes_the_wanted_settings(
    queue: tuple[str, QueueSettings], other: QueueSettings
) -> None:
    """From those that a queue has, and from none, as a new one has."""
    name, wanted = queue
    for before in (QueueSettings(), wanted, other if name.endswith(".fifo") else QueueSettings()):
        texts = write_queue(name, before, arn_of, headroom=True)
        changed = changed_queue(name, wanted, before, arn_of)
        assert "Policy" not in changed, "it is written apart, with the statements of others"
        after = {key: text for key, text in {**texts, **changed}.items() if text}
        if wanted.policy is None:
            after.pop("Policy", None)
        else:
            after["Policy"] = wanted.policy
        if changed.get("SqsManagedSseEnabled") == "true":  # as SQS does
            after.pop("KmsMasterKeyId", None)
        assert read_queue(name, after, name_of, headroom=True) == wanted


def test_nothing_is_changed_where_nothing_differs() -> None:
    assert changed_queue("work", QueueSettings(), QueueSettings(), arn_of) == {}


def test_what_was_set_and_is_no_more_is_taken_back() -> None:
    before = QueueSettings(
        dead_letter_queue="dlq",
        max_receives=3,
        redrive_sources=("a",),
        others={"KmsMasterKeyId": "alias/a"},
    )
    assert changed_queue("work", QueueSettings(), before, arn_of) == {
        "RedrivePolicy": "",
        "RedriveAllowPolicy": '{"redrivePermission":"allowAll"}',
        "KmsMasterKeyId": "",
        "SqsManagedSseEnabled": "true",
    }


@pytest.mark.parametrize(("seconds", "whole"), [(30.0, 30), (0.2, 1), (0.0, 0), (29.5, 30)])
def test_seconds_are_whole_and_never_fewer(seconds: float, whole: int) -> None:
    assert whole_seconds(seconds) == whole
    texts = write_queue("work", QueueSettings(visibility_timeout=seconds), arn_of)
    assert texts["VisibilityTimeout"] == str(whole)


def test_sqs_is_told_of_more_receives_than_the_broker_allows() -> None:
    asked = QueueSettings(dead_letter_queue="dlq", max_receives=3)
    text = write_queue("work", asked, arn_of, headroom=True)["RedrivePolicy"]
    assert read_redrive(text) == (ARN + "dlq", 3 + HEADROOM)
    text = write_queue("work", asked, arn_of)["RedrivePolicy"]
    assert text == f'{{"deadLetterTargetArn":"{ARN}dlq","maxReceiveCount":3}}'


def test_a_queue_that_is_not_ours_keeps_its_arn() -> None:
    elsewhere = "arn:aws:sqs:us-east-1:1:dlq"
    texts = write_queue(
        "work", QueueSettings(dead_letter_queue="dlq", max_receives=3), lambda _: elsewhere
    )
    assert read_queue("work", texts, name_of).dead_letter_queue == elsewhere
