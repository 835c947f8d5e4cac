"""Chords whose workers are killed: the short form of `make chaos-chords`."""

from pathlib import Path

import pytest

from tests.crash.chords import run

pytestmark = [pytest.mark.crash, pytest.mark.slow]


def test_the_body_of_a_chord_ends_once_whoever_is_killed(tmp_path: Path) -> None:
    assert run(20, 7, tmp_path) >= 20
