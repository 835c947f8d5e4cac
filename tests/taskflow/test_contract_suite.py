"""taskflow.testing.contract as the author of a broker uses it: the page's example, and what is said
of a broker that lacks something or does something wrong."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from taskflow.broker.features import Features
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.needs import needs

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/testing.md").read_text()
(EXAMPLE,) = (
    block
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    if "taskflow.testing.contract import *" in block
)


def run(folder: Path, text: str, *options: str) -> str:
    """Run a test module in a process of its own; answers what it printed."""
    (folder / "test_mine.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True).stdout


@pytest.mark.slow
def test_the_example_of_the_page_passes(tmp_path: Path) -> None:
    printed = run(tmp_path, EXAMPLE, "-k", "not records")
    assert re.search(r"^\d{3} passed, \d+ skipped, \d+ deselected", printed, re.MULTILINE), printed
    assert "need the fixture five_in_flight" in printed


WRONG = f"""
{EXAMPLE}

from taskflow.testing.contract.differs import Differs

@pytest.fixture
def broker(clock):
    broker = memory_broker(clock=clock)
    broker.features = broker.features._replace(coordination=False, fifo=False)
    broker.topics = lambda: ["another"]
    return broker

@pytest.fixture
def differences():
    return {{
        "test_a_slow_rate_still_allows_one": Differs("is left out all the same"),
        "test_set_queue_replaces_the_settings": Differs("it does not"),
        "test_declaring_twice_changes_nothing": Differs("it knows one topic"),
    }}
"""


@pytest.mark.slow
def test_what_a_broker_lacks_and_where_it_differs_is_said(tmp_path: Path) -> None:
    chosen = "slow_rate or bucket or replaces_the_settings or declaring_twice or deleted_topic"
    printed = run(tmp_path, WRONG, "-k", chosen, "-rfExs")
    assert re.search(r"left out of the broker's contract: 2 ===", printed), printed
    assert re.search(r"^ +2 need coordination$", printed, re.MULTILINE)
    assert (
        "XFAIL test_mine.py::test_declaring_twice_changes_nothing - it knows one topic" in printed
    )
    assert "[XPASS(strict)] it does not" in printed
    assert "`differences` has no word on it" in printed
    assert "AssertionError: assert ['another'] == ['other']" in printed, "asserts are rewritten"


def test_what_is_no_feature_is_noticed() -> None:
    with pytest.raises(
        ValueError, match=r"^fivo: no field of taskflow\.broker\.features\.Features"
    ):
        needs("fivo", *Features._fields)


def test_a_module_hands_out_its_tests_and_fixtures_alone() -> None:
    @pytest.fixture
    def made() -> None: ...

    def test_it() -> None: ...

    def helper() -> None: ...

    names = {"made": made, "test_it": test_it, "helper": helper, "Path": Path, "test_data": 1}
    assert collected(names, ["fifo"]) == ["made", "test_it"]
    assert [mark.args for mark in test_it.pytestmark] == [("fifo",)]  # type: ignore[attr-defined]
