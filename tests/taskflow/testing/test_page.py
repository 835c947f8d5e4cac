"""docs/testing.md: its blocks are a suite that passes, but for the one that is to fail."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[3] / "docs/testing.md").read_text()
OURS = PAGE.partition("## How taskflow itself is tested")[0]
MODULE, *TESTS = re.findall(r"^```python\n(.*?)^```$", OURS, re.MULTILINE | re.DOTALL)
(BROKEN,) = re.findall(r"^```python broken\n(.*?)^```$", OURS, re.MULTILINE | re.DOTALL)
TOLD = re.findall(r"^```text\n(.*?)^```$", OURS, re.MULTILINE | re.DOTALL)


def run(folder: Path) -> str:
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True).stdout


@pytest.mark.slow
def test_the_blocks_are_a_suite_that_passes(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(MODULE)
    for number, block in enumerate(TESTS):
        (tmp_path / f"test_{number}.py").write_text(block)
    printed = run(tmp_path)
    assert re.search(r"^\d\d passed", printed, re.MULTILINE), printed


@pytest.mark.slow
def test_the_broken_one_is_told_of_as_the_page_says(tmp_path: Path) -> None:
    (tmp_path / "test_broken.py").write_text(BROKEN)
    printed = run(tmp_path)
    assert "1 failed" in printed
    assert TOLD[0] in printed
