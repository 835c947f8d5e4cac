"""`taskflow runs`: the runs that are kept, newest first."""

from typing import Any

import click
import msgspec

from taskflow.cli.moments import read_since
from taskflow.cli.options import broker_option, opened, table
from taskflow.tasks.describing import describe_runs
from taskflow.tasks.listing import list_runs
from taskflow.tasks.run import STATES, State

PAGE = 1000
HEADS = ("ID", "TASK", "STATE", "AGE(S)", "ATTEMPTS", "ERROR")


@click.command()
@click.option("--task", help="Only those of this task.")
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
@click.option("--key", help="Only the one that holds this key of --task now.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=100, help="Default: 100.")
@click.option("--json", "as_json", is_flag=True, help="A JSON list of objects.")
@broker_option
def runs(
    task: str | None,
    states: tuple[State, ...],
    since: str | None,
    key: str | None,
    limit: int,
    as_json: bool,
    address: str | None,
) -> None:
    """List the runs of tasks that are kept, the newest first.

    A call is a run when it keeps a result, has a key, or is due later than in 15 minutes.
    `taskflow result ID` shows one whole.

    \b
    Example:
      taskflow runs --state failed --since 1d
      taskflow runs --task shop.mails.send --json | jq -r '.[].error.type'
    """
    if key is not None and task is None:
        raise click.UsageError("--key is one of a task; give --task too")
    found: list[dict[str, Any]] = []
    with opened(address) as broker:
        now = broker.clock.now()
        start = None if since is None else read_since("--since", since, now)
        after: str | None = None
        while True:
            page = list_runs(
                broker,
                task=task,
                states=states,
                since=start,
                key=key,
                after=after,
                limit=min(PAGE, limit + 1),
            )
            found += describe_runs(broker, page.runs)
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


def _line(one: dict[str, Any], now: float) -> list[Any]:
    return [
        one["id"],
        one["task"],
        one["state"],
        round(now - one["created_at"]),
        one["attempts"],
        "" if one["error"] is None else one["error"]["type"] or one["error"]["message"],
    ]
