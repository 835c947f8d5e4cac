"""The system clock, and times as text."""

import threading
from datetime import UTC, datetime

import pytest
from freezegun import freeze_time
from hypothesis import given
from hypothesis import strategies as st

from taskflow import SystemClock
from taskflow.clock import from_rfc3339, rfc3339, rfc3339_each

YEAR_9999 = datetime(9999, 12, 31, tzinfo=UTC).timestamp()


def test_the_system_clock_follows_freezegun() -> None:
    clock = SystemClock()
    with freeze_time("2026-01-31T12:00:00Z") as frozen:
        assert rfc3339(clock.now()) == "2026-01-31T12:00:00.000000Z"
        frozen.tick(1.5)
        assert rfc3339(clock.now()) == "2026-01-31T12:00:01.500000Z"


def test_a_wait_that_times_out_is_false() -> None:
    condition = threading.Condition()
    with condition:
        assert SystemClock().wait(condition, 0.0) is False


def test_a_wait_that_is_notified_is_true() -> None:
    condition = threading.Condition()

    def notify() -> None:
        with condition:
            condition.notify()

    with condition:
        threading.Thread(target=notify).start()
        assert SystemClock().wait(condition, 10.0) is True


@given(st.floats(0, YEAR_9999))
def test_a_time_survives_its_text_to_the_microsecond(seconds: float) -> None:
    assert from_rfc3339(rfc3339(seconds)) == pytest.approx(seconds, abs=1e-4, rel=0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("1970-01-01T02:00:00+02:00", 0.0),
        ("1969-12-31T23:59:59.5Z", -0.5),
    ],
)
def test_any_offset_is_read(text: str, seconds: float) -> None:
    assert from_rfc3339(text) == seconds


def test_a_time_without_an_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="has no time zone; write 2026-01-31T12:00:00Z"):
        from_rfc3339("2026-01-31T12:00:00")


@pytest.mark.parametrize("text", ["", "yesterday", "2026-02-30T00:00:00Z", "1700000000"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        from_rfc3339(text)


@given(st.lists(st.floats(-60.0, 60.0) | st.floats(-1e9, YEAR_9999), max_size=5))
def test_many_times_are_written_as_each_is(moments: list[float]) -> None:
    assert rfc3339_each(moments) == [rfc3339(one) for one in moments]
