"""`taskflow workflow list`: the runs of workflows, newest first."""

from typing import Any

import click
import msgspec

from taskflow.cli.moments import read_since
from taskflow.cli.options import broker_option, opened, table
from taskflow.tasks.describing import describe_runs
from taskflow.tasks.listing import list_runs
from taskflow.tasks.run import STATES, Row, State

PAGE = 1000
HEADS = ("ID", "WORKFLOW", "STATE", "KEY", "VERSION", "AGE(S)", "ERROR")


@click.command("list")
@click.option("--workflow", "name", metavar="NAME", help="Only those of this workflow.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([one for one in STATES if one != "unknown"]),
    help="Only those in this state; may be repeated.",
)
@click.option(
    "--since", metavar="TIME", help="Only those of the last 15m, 2h, 1d; or since a time."
)
@click.option("--key", help="Only the one that holds this key of --workflow now.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=100, help="Default: 100.")
@click.option("--json", "as_json", is_flag=True, help="A JSON list of objects.")
@broker_option
def list_workflows(
    name: str | None,
    states: tuple[State, ...],
    since: str | None,
    key: str | None,
    limit: int,
    as_json: bool,
    address: str | None,
) -> None:
    """List the runs of workflows that are kept, the newest first; child runs too.

    \b
    Example:
      taskflow workflow list --workflow shop.orders.fulfil --state suspended
      taskflow workflow list --state failed --json | jq -r '.[].id'
    """
    if key is not None and name is None:
        raise click.UsageError("--key is one of a workflow; give --workflow too")
    found: list[dict[str, Any]] = []
    with opened(address) as broker:
        now = broker.clock.now()
        start = None if since is None else read_since("--since", since, now)
        after: str | None = None
        while True:
            page = list_runs(
                broker, task=name, states=states, since=start, key=key, after=after, limit=PAGE
            )
            rows = [row for row in page.runs if row.run.durable is not None]
            described = describe_runs(broker, rows)
            found += [_with_own(one, row) for one, row in zip(described, rows, strict=True)]
            after = page.next
            if after is None or len(found) > limit:
                break
    shown = found[:limit]
    if as_json:
        click.echo(msgspec.json.encode(shown))
    else:
        lines = [_line(one, now) for one in shown]
        click.echo(table(HEADS, lines) if lines else "no such runs")
    if len(found) > limit:
        click.echo(f"these are the newest {limit}; --limit shows more", err=True)


def _with_own(found: dict[str, Any], row: Row) -> dict[str, Any]:
    """With what only runs of workflows have; the name is that of the others' task."""
    durable, place = row.run.durable, row.run.place
    assert durable is not None
    root = None if place is None or place.root == row.id else place.root
    workflow = found.pop("task")
    return {
        "id": found.pop("id"),
        "workflow": workflow,
        **found,
        "version": durable.version or None,
        "restarts": durable.life,
        "root": root,
        "awaits": list(durable.awaits) if row.state == "suspended" else [],
    }


def _line(one: dict[str, Any], now: float) -> list[Any]:
    return [
        one["id"],
        one["workflow"],
        one["state"],
        one["key"] or "",
        one["version"] or "-",
        round(now - one["created_at"]),
        "" if one["error"] is None else one["error"]["type"] or one["error"]["message"],
    ]
