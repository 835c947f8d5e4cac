"""The command that measures workflows finds its probe wherever it works."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import workflows
from benchmarks.workflows import PROCESS, Found, Place


def test_its_processes_work_in_a_folder_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def suspended(where: Place, count: int) -> Found:
        return where.run("suspend", where.address(PROCESS), count)

    monkeypatch.setattr(workflows, "suspended", suspended)
    words = ["benchmarks.workflows", "--suspended", "1", "--folder", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    workflows.main()
    assert json.loads(capsys.readouterr().out) == {"runs": 1}
    assert list(tmp_path.iterdir()) == []
