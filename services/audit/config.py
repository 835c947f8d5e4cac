"""What can be set about the audit log."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import make_url

from services.config import Environment
from taskflow.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Config:
    """Where the log and its checkpoints are.

    Keep `checkpoints` where whoever may write `database` may not: that is what it is for.
    """

    database: Path
    checkpoints: Path

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Config":
        """Read AUDIT_*; raises ConfigError naming the wrong variable."""
        read = Environment(environ)
        url = read.database("AUDIT_DATABASE", "sqlite:///var/audit.db", schemes="sqlite")
        file = make_url(url).database
        if not file or file == ":memory:":
            raise ConfigError(f"AUDIT_DATABASE={url!r}: a file is allowed, sqlite:///path")
        return cls(
            database=Path(file),
            checkpoints=read.path("AUDIT_CHECKPOINTS", "var/audit.checkpoints"),
        )
