"""The short fuzz run, and that it would find what it looks for."""

import logging
from pathlib import Path

import pytest

from taskflow.server import access
from tests.fuzz.__main__ import SHARES, run
from tests.fuzz.verdict import LogWatch, Verdict


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.parametrize("target", SHARES)
def test_nothing_that_is_nearly_right_is_answered_with_a_fault(tmp_path: Path, target: str) -> None:
    verdict = run(4000, 7, tmp_path, (target,))
    print(verdict.show())
    assert verdict.findings == []
    answers = {answer.split()[1] for answer in verdict.answers}
    assert len(answers) > 2, "all are answered alike: the requests are not nearly right"
    assert answers & {"200", "201", "OK"}


@pytest.mark.fuzz
def test_a_key_that_may_everything_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "allows", lambda *_: True)
    verdict = run(4000, 7, tmp_path, ("limited",))
    assert any("a limited key changed" in text for text in verdict.findings)
    assert any("told a secret" in text for text in verdict.findings)


def test_a_fault_and_a_traceback_are_findings() -> None:
    verdict = Verdict(requests=3)
    with LogWatch(verdict):
        logging.getLogger("taskflow.server").error("it broke")
        logging.getLogger("taskflow.server").warning("as it should")
        logging.getLogger("hypercorn").error("not ours")
    verdict.wrong("answered 500", {"a": 1})
    assert verdict.findings == [
        "request 3: in the log: 'it broke'",
        "request 3: answered 500: {'a': 1}",
    ]
    assert "2  findings" in verdict.show()
