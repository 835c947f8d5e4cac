"""An empty audit log in a folder of its own."""

from pathlib import Path

import pytest

from services.audit.handlers import Recorder
from services.audit.repository import AuditLog
from taskflow.testing import ManualClock


@pytest.fixture
def settings(database: Path, checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment that the handler and the command read."""
    monkeypatch.setenv("AUDIT_DATABASE", f"sqlite:///{database}")
    monkeypatch.setenv("AUDIT_CHECKPOINTS", str(checkpoints))


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "audit.db"


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    return tmp_path / "elsewhere" / "audit.checkpoints"


@pytest.fixture
def log(database: Path, checkpoints: Path) -> AuditLog:
    log = AuditLog(database, checkpoints)
    log.create()
    return log


@pytest.fixture
def recorder(log: AuditLog) -> Recorder:
    return Recorder(log, ManualClock())
