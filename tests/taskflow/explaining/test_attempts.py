"""When attempts begin, what they cost, and durations for people."""

import pytest

from taskflow import Registry, RetryPolicy
from taskflow.explaining.attempts import Attempt, attempts_of
from taskflow.explaining.prices import Cost, handled, published, sent
from taskflow.explaining.spans import span

FIXED = RetryPolicy(retries=2, backoff=10.0, jitter=False)


def of(policy: RetryPolicy, timeout: float | None = 60.0) -> Registry:
    registry = Registry()

    def handle(event: object) -> None: ...

    registry.subscribe("made", queue="work", policy=policy, timeout=timeout)(handle)
    return registry


def test_an_attempt_begins_after_the_waits_and_at_most_the_runs_before_it() -> None:
    found = attempts_of(of(FIXED).on("work")[0])
    assert found.attempts == [Attempt(1, 0, 0), Attempt(2, 10, 70), Attempt(3, 30, 150)]
    assert (found.waits, found.runs, found.total) == (30, 180, 210)


def test_without_a_time_limit_there_is_no_end_and_with_jitter_no_least_wait() -> None:
    endless = attempts_of(of(FIXED, timeout=None).on("work")[0])
    assert (endless.attempts[2], endless.total) == (Attempt(3, 30, None), None)
    some = attempts_of(of(RetryPolicy(retries=1)).on("work")[0])
    assert some.attempts[1] == Attempt(2, 0, 61)


def test_the_most_patient_rule_counts() -> None:
    policy = RetryPolicy(retries=1, rules={OSError: FIXED, ValueError: None})
    assert attempts_of(of(policy).on("work")[0]).waits == 30


def test_prices_are_by_the_request() -> None:
    assert published("made") == Cost(0.05, 0.5)
    assert published("made.fifo") == Cost(0.3, 0.3)
    assert sent("work").plus(handled("work")) == Cost(
        pytest.approx(0.12),  # type: ignore[arg-type]
        pytest.approx(1.2),  # type: ignore[arg-type]
    )
    assert handled("work.fifo") == Cost(0.1, 1.0)


def test_a_duration_has_its_two_largest_units() -> None:
    told = [span(seconds) for seconds in (0, 0.471, 59.9, 60, 3725, 90_061, 86_400)]
    assert told == ["0 s", "0.471 s", "59.9 s", "1 min", "1 h 2 min", "1 d 1 h", "1 d"]
