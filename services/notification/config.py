"""What can be set about notifications."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from services.config import Environment
from taskflow.errors import ConfigError


@dataclass(frozen=True, slots=True)
class SmtpAddress:
    """A mail server. `tls`: encrypted from the first byte, as `smtps://` asks for."""

    host: str
    port: int
    tls: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of the notification handlers.

    `smtp`: the server to send through; None writes files into `outbox` instead.
    """

    smtp: SmtpAddress | None
    outbox: Path
    sender: str
    database: str

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Config":
        """Read NOTIFICATION_*; raises ConfigError naming the wrong variable."""
        read = Environment(environ)
        url = read.text("NOTIFICATION_SMTP_URL", "")
        sender = read.text("NOTIFICATION_FROM", "shop@example.org")
        if not re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", sender):
            raise ConfigError(f"NOTIFICATION_FROM={sender!r}: an e-mail address is allowed")
        return cls(
            smtp=_read_smtp(url) if url else None,
            outbox=read.path("NOTIFICATION_OUTBOX", "var/outbox"),
            sender=sender,
            database=read.database("NOTIFICATION_DATABASE", "sqlite:///var/notification.db"),
        )


def _read_smtp(url: str) -> SmtpAddress:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        # The value may hold a password: name the variable only.
        raise ConfigError(
            "NOTIFICATION_SMTP_URL: smtp://user:password@host:port or smtps://... is allowed"
        )
    tls = parts.scheme == "smtps"
    return SmtpAddress(
        host=parts.hostname,
        port=port or (465 if tls else 25),
        tls=tls,
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
    )
