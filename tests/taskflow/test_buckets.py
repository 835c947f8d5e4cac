"""What is left in a token bucket."""

import pytest

from taskflow.buckets import tokens_in


@pytest.mark.parametrize(
    ("bucket", "per_second", "now", "left"),
    [
        (None, 5.0, 100.0, 1.0),  # a slow rate lets one through
        (None, 100.0, 100.0, 10.0),  # a fast one a tenth of a second's worth
        ((0.0, 100.0), 100.0, 100.05, 5.0),
        ((0.0, 100.0), 100.0, 200.0, 10.0),
        ((-3.0, 100.0), 2.0, 101.0, -1.0),  # spent in advance
        ((0.5, 100.0), 2.0, 50.0, 0.5),  # the clock was set back
    ],
)
def test_a_bucket_fills_with_time_up_to_its_rim(
    bucket: tuple[float, float] | None, per_second: float, now: float, left: float
) -> None:
    assert tokens_in(bucket, per_second, now) == pytest.approx(left)
