"""`taskflow workflow list`: the runs of workflows, newest first."""

from collections.abc import Iterator, Sequence
from typing import Any

import click

from taskflow.broker import Broker
from taskflow.cli.listed_runs import RunList, Wanted
from taskflow.tasks.describing import describe_runs
from taskflow.tasks.run import Row, State
from taskflow.workflows.run_listing import newest_runs


def _describe(broker: Broker, rows: Sequence[Row]) -> list[dict[str, Any]]:
    found = describe_runs(broker, rows)
    return [_with_own(one, row) for one, row in zip(found, rows, strict=True)]


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


def _find(broker: Broker, wanted: Wanted, since: float | None) -> Iterator[Row]:
    return newest_runs(broker, wanted.task, states=wanted.states, since=since, key=wanted.key)


WORKFLOWS = RunList(
    "workflow",
    ("ID", "WORKFLOW", "STATE", "KEY", "VERSION", "AGE(S)", "ERROR"),
    _find,
    _describe,
    _line,
)


@click.command("list")
@click.option("--workflow", "name", metavar="NAME", help="Only those of this workflow.")
@WORKFLOWS.options
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
    WORKFLOWS.show(address, Wanted(name, states, since, key, limit, as_json))
