"""The command `audit`: verify the log, show it, set a checkpoint."""

import json
import os

import click

from services.audit.config import Config
from services.audit.entry import Entry
from services.audit.repository import AuditLog, LogUnreadable
from services.audit.verify import Report, verify
from taskflow.clock import SystemClock, rfc3339
from taskflow.errors import ConfigError

EXIT_BROKEN = 1
EXIT_USAGE = 2


class _Unusable(click.ClickException):
    """Settings or files that cannot be used: one line, code 2."""

    exit_code = EXIT_USAGE


@click.group()
def audit() -> None:
    """Check and read the audit log.

    Where it is comes from AUDIT_DATABASE and AUDIT_CHECKPOINTS.

    Example: audit verify
    """


@audit.command("verify")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify_command(as_json: bool) -> None:
    """Find any edit, gap, reordering or cut tail.

    Exit code 0: intact; 1: broken, with the first bad entry and why; 2: cannot be read.

    Example: audit verify --json
    """
    try:
        report = verify(_open_log())
    except LogUnreadable as error:
        raise _Unusable(str(error)) from error
    click.echo(json.dumps(_to_json(report)) if as_json else _to_text(report))
    if report.broken:
        raise SystemExit(EXIT_BROKEN)


@audit.command("show")
@click.option("--last", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each entry.")
def show_command(last: int, as_json: bool) -> None:
    """Print the last entries, oldest first.

    Example: audit show --last 5
    """
    try:
        for entry in _open_log().entries(last):
            click.echo(_entry_json(entry) if as_json else _entry_text(entry))
    except LogUnreadable as error:
        raise _Unusable(str(error)) from error


@audit.command("checkpoint")
def checkpoint_command() -> None:
    """Note what the log looks like now, so that a later cut of its tail is found.

    Example: audit checkpoint
    """
    try:
        checkpoint = _open_log().checkpoint(rfc3339(SystemClock().now()))
    except (LogUnreadable, OSError) as error:
        raise _Unusable(str(error)) from error
    if checkpoint is None:
        raise _Unusable("the log is empty: nothing to checkpoint")
    click.echo(f"checkpoint at entry {checkpoint.seq}: {checkpoint.hash.hex()}")


def _open_log() -> AuditLog:
    try:
        config = Config.from_environ(os.environ)
    except ConfigError as error:
        raise _Unusable(str(error)) from error
    return AuditLog(config.database, config.checkpoints)


def _to_text(report: Report) -> str:
    if report.broken:
        return f"broken at entry {report.broken.seq}: {report.broken.kind}: {report.broken.detail}"
    return (
        f"intact: {report.entries} entries, {report.checkpoints} checkpoints,"
        f" last hash {report.head.hex()}"
    )


def _to_json(report: Report) -> dict[str, object]:
    broken = report.broken
    return {
        "intact": broken is None,
        "entries": report.entries,
        "checkpoints": report.checkpoints,
        "head": report.head.hex(),
        "broken": broken and {"seq": broken.seq, "kind": broken.kind, "detail": broken.detail},
    }


def _entry_text(entry: Entry) -> str:
    body = entry.body.decode(errors="replace")
    return f"{entry.seq:>6} {entry.occurred_at} {entry.topic} {entry.event_id} {body}"


def _entry_json(entry: Entry) -> str:
    return json.dumps(
        {
            "seq": entry.seq,
            "event_id": entry.event_id,
            "topic": entry.topic,
            "source": entry.source,
            "occurred_at": entry.occurred_at,
            "recorded_at": entry.recorded_at,
            "body": json.loads(entry.body),
            "hash": entry.hash.hex(),
        }
    )
