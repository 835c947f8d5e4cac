"""How many at once, as people write it."""

import re
from typing import Any

import pytest

from taskflow.worker.bounds import FORMS, Bounds, read_bounds


@pytest.mark.parametrize(
    ("written", "bounds", "text"),
    [
        (8, (8, 8), "8"),
        ("8", (8, 8), "8"),
        ("2..32", (2, 32), "2..32"),
        (" 2 .. 32 ", (2, 32), "2..32"),
        ((2, 32), (2, 32), "2..32"),
        ((4, 4), (4, 4), "4"),
        (Bounds(1, 3), (1, 3), "1..3"),
    ],
)
def test_it_is_read_and_written(written: Any, bounds: tuple[int, int], text: str) -> None:
    found = read_bounds("concurrency", written)
    assert (tuple(found), str(found)) == (bounds, text)
    assert found.scales == (bounds[0] < bounds[1])


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("32..2", "concurrency is '32..2', and 32 is more than 2; "),
        ((32, 2), "concurrency is (32, 2), and 32 is more than 2; "),
        ("0..4", "concurrency is '0..4', and 0 is less than 1; "),
        ("-4..4", "concurrency is '-4..4', and -4 is less than 1; "),
        (0, "concurrency is 0, and 0 is less than 1; "),
        ("a..b", "concurrency is 'a..b'; "),
        ("2..", "concurrency is '2..'; "),
        ("2...4", "concurrency is '2...4'; "),
        ("2..3..4", "concurrency is '2..3..4'; "),
        ("2-4", "concurrency is '2-4'; "),
        ("1_0", "concurrency is '1_0'; "),
        ("", "concurrency is ''; "),
        ((2, 3, 4), "concurrency is (2, 3, 4); "),
        (2.5, "concurrency is 2.5; "),
        (True, "concurrency is True; "),
        (None, "concurrency is None; "),
    ],
)
def test_what_is_none_is_refused_with_what_is_allowed(written: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason + FORMS)}$"):
        read_bounds("concurrency", written)
