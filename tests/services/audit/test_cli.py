"""The command `audit`: what it prints and its exit codes."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from services.audit.cli import audit
from services.audit.handlers import Recorder
from services.audit.repository import CHECKPOINT_EVERY, AuditLog
from tests.services.audit.tampering import fill, tamper

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(settings: None) -> Run:
    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(audit, arguments)
        return result.exit_code, result.output

    return run


def test_verify_exits_0_when_intact(run: Run, recorder: Recorder) -> None:
    fill(recorder, 2)
    code, output = run("verify")
    assert code == 0
    assert output.startswith("intact: 2 entries")


def test_verify_exits_1_and_names_the_entry(run: Run, recorder: Recorder, database: Path) -> None:
    fill(recorder, 3)
    tamper(database, "DELETE FROM entries WHERE seq = 2")
    assert run("verify") == (1, "broken at entry 2: gap: entry 2 is missing; 3 comes next\n")
    code, output = run("verify", "--json")
    assert code == 1
    assert '"seq": 2' in output


def test_verify_exits_2_without_a_log(run: Run, database: Path) -> None:
    code, output = run("verify")
    assert (code, len(output.splitlines())) == (2, 1)
    assert not database.exists(), "looking must not make a log"


@pytest.mark.parametrize("content", ["{", '{"seq": 1}', "[]"])
def test_verify_exits_2_when_checkpoints_cannot_be_read(
    run: Run, recorder: Recorder, checkpoints: Path, content: str
) -> None:
    fill(recorder, CHECKPOINT_EVERY)
    with checkpoints.open("a") as file:
        file.write(content)
    code, output = run("verify")
    assert code == 2
    assert "line 2" in output


def test_verify_exits_2_when_the_log_is_no_database(run: Run, database: Path) -> None:
    database.write_text("not a database" * 100)
    assert run("verify")[0] == 2


def test_wrong_setting_exits_2_with_its_name(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_DATABASE", "postgresql://x/y")
    code, output = run("verify")
    assert code == 2
    assert "AUDIT_DATABASE" in output


def test_show_prints_the_last_entries(run: Run, recorder: Recorder) -> None:
    fill(recorder, 3)
    code, output = run("show", "--last", "2")
    assert code == 0
    assert [line.split()[3] for line in output.splitlines()] == ["evt_2", "evt_3"]


def test_checkpoint_is_refused_for_an_empty_log(run: Run, log: AuditLog) -> None:
    assert run("checkpoint")[0] == 2


def test_checkpoint_is_written_beside_the_log(run: Run, recorder: Recorder, log: AuditLog) -> None:
    fill(recorder, 3)
    assert run("checkpoint")[0] == 0
    assert [each.seq for each in log.checkpoints()] == [3]
