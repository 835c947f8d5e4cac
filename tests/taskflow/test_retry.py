"""How a run ends: decide(), backoff, rules."""

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow import Reject, RetryPolicy
from taskflow import Retry as AskRetry
from taskflow.errors import DecodeError
from taskflow.retry import Dead, Done, Retry, decide, describe, text_of

FIXED = RetryPolicy(retries=2, backoff=1.0, jitter=False)
SEEDS = st.integers(0, 2**32).map(random.Random)


def outcome(error: BaseException | None, attempt: int = 1, policy: RetryPolicy = FIXED) -> Any:
    return decide(error, attempt, policy, random.Random(7))


def test_no_error_is_done() -> None:
    assert outcome(None) == Done()


@pytest.mark.parametrize(("attempt", "after"), [(1, 1.0), (2, 2.0)])
def test_a_failure_is_retried_with_doubling_backoff(attempt: int, after: float) -> None:
    error = ValueError("no")
    assert outcome(error, attempt) == Retry(after, error)


@pytest.mark.parametrize("attempt", [3, 4, 1000])
def test_after_the_last_retry_it_is_dead(attempt: int) -> None:
    error = ValueError("no")
    assert outcome(error, attempt) == Dead(f"failed {attempt} times", error)


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit()])
def test_what_is_no_exception_is_a_failure_like_any_other(error: BaseException) -> None:
    assert outcome(error) == Retry(1.0, error)


def test_no_retries_means_one_attempt() -> None:
    assert isinstance(outcome(ValueError(), 1, RetryPolicy(retries=0)), Dead)


def test_reject_is_dead_at_once_with_its_reason() -> None:
    error = Reject("card stolen")
    assert outcome(error) == Dead("card stolen", error)


def test_a_payload_that_does_not_fit_is_dead_at_once() -> None:
    error = DecodeError("does not fit")
    assert outcome(error) == Dead("does not fit", error)


def test_retry_asks_for_its_own_time() -> None:
    error = AskRetry(after=77.0)
    assert outcome(error) == Retry(77.0, error)
    assert outcome(AskRetry(after=0.0)).after == 0.0


def test_retry_without_a_time_waits_the_usual_backoff() -> None:
    assert outcome(AskRetry(), 2).after == 2.0


def test_retry_counts_as_an_attempt() -> None:
    assert isinstance(outcome(AskRetry(after=1), 3), Dead)


@pytest.mark.parametrize("after", [-1, math.nan])
def test_retry_refuses_a_time_that_cannot_be(after: float) -> None:
    with pytest.raises(ValueError, match="seconds, 0 or more"):
        AskRetry(after=after)


@given(
    backoff=st.floats(0, 1e6),
    factor=st.floats(1, 1e3),
    maximum=st.floats(0, 1e6),
    attempt=st.integers(1, 5000),
    source=SEEDS,
)
def test_full_jitter_stays_between_nothing_and_the_ceiling(
    backoff: float, factor: float, maximum: float, attempt: int, source: random.Random
) -> None:
    policy = RetryPolicy(backoff=backoff, factor=factor, maximum=maximum)
    assert 0 <= policy.delay(attempt, source) <= policy.ceiling(attempt) <= maximum
    assert policy.ceiling(attempt) <= policy.ceiling(attempt + 1)


@given(attempt=st.integers(1, 2000))
def test_the_ceiling_doubles_up_to_the_maximum(attempt: int) -> None:
    exact = min(3600, 2 ** (attempt - 1))
    assert RetryPolicy().ceiling(attempt) == exact


def test_no_backoff_stays_none_however_often_it_failed() -> None:
    assert RetryPolicy(backoff=0).ceiling(5000) == 0.0


def test_jitter_spreads_over_the_whole_range() -> None:
    source = random.Random(7)
    delays = [RetryPolicy(backoff=8).delay(1, source) for _ in range(1000)]
    assert min(delays) < 0.5
    assert max(delays) > 7.5
    assert sum(delays) / 1000 == pytest.approx(4, abs=0.3)


# ---- rules ------------------------------------------------------------------------------------
RULES = RetryPolicy(
    retries=5,
    jitter=False,
    rules={
        LookupError: None,
        KeyError: RetryPolicy(retries=1, backoff=9, jitter=False),
        OSError: RetryPolicy(retries=8, backoff=3, jitter=False),
    },
)


@pytest.mark.parametrize(
    ("error", "attempt", "expected"),
    [
        (IndexError("x"), 1, "IndexError is not retried"),  # its base has a rule
        (KeyError("x"), 1, 9.0),  # the nearest rule counts, not the base's
        (KeyError("x"), 2, "failed 2 times"),
        (ConnectionError("x"), 8, 384.0),  # a rule may allow more than the policy
        (ConnectionError("x"), 9, "failed 9 times"),
        (ValueError("x"), 5, 16.0),  # no rule
        (ValueError("x"), 6, "failed 6 times"),
    ],
)
def test_the_nearest_rule_in_the_mro_counts(
    error: Exception, attempt: int, expected: float | str
) -> None:
    found = outcome(error, attempt, RULES)
    assert (found.reason if isinstance(found, Dead) else found.after) == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"retries": -1}, "retries is -1; a whole number from 0 to 999"),
        ({"retries": 1000}, "retries is 1000; a whole number from 0 to 999"),
        ({"retries": 1.5}, "retries is 1.5"),
        ({"retries": True}, "retries is True"),
        ({"retries": "3"}, "retries is '3'"),
        ({"retries": math.inf}, "retries is inf"),
        ({"backoff": -1}, "backoff is -1 and maximum 3600.0; seconds, 0 or more"),
        ({"backoff": math.nan}, "backoff is nan"),
        ({"maximum": -1}, "maximum -1"),
        ({"factor": 0.5}, "factor is 0.5; 1 or more"),
        ({"factor": math.nan}, "factor is nan"),
    ],
)
def test_numbers_that_cannot_be_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RetryPolicy(**values)


# ---- errors as data ---------------------------------------------------------------------------
class Odd(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def test_an_exception_is_described_with_its_traceback() -> None:
    found = describe(raised(ValueError("no such order")))
    assert (found["error"], found["message"]) == ("ValueError", "no such order")
    assert "raise error" in found["traceback"]
    assert found["traceback"].endswith("ValueError: no such order\n")


def test_an_exception_of_a_module_is_described_with_it() -> None:
    assert describe(DecodeError("x"))["error"] == "taskflow.errors.DecodeError"


def test_a_description_has_an_end() -> None:
    found = describe(raised(ValueError("x" * 50_000)), most=100)
    assert {len(found["message"]), len(found["traceback"])} == {100}


def test_an_exception_without_a_text_can_be_described() -> None:
    assert text_of(Odd()) == describe(raised(Odd()))["message"] == "<its __str__ failed>"
