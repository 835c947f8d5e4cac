"""`taskflow runs`: the runs that are kept, newest first."""

from collections.abc import Iterator
from typing import Any

import click

from taskflow.broker import Broker
from taskflow.cli.listed_runs import RunList, Wanted
from taskflow.tasks.describing import describe_runs
from taskflow.tasks.listing import list_runs
from taskflow.tasks.run import Row, State

PAGE = 1000


def _line(one: dict[str, Any], now: float) -> list[Any]:
    return [
        one["id"],
        one["task"],
        one["state"],
        round(now - one["created_at"]),
        one["attempts"],
        "" if one["error"] is None else one["error"]["type"] or one["error"]["message"],
    ]


def _find(broker: Broker, wanted: Wanted, since: float | None) -> Iterator[Row]:
    after: str | None = None
    while True:
        page = list_runs(
            broker,
            task=wanted.task,
            states=wanted.states,
            since=since,
            key=wanted.key,
            after=after,
            limit=min(PAGE, wanted.limit + 1),
        )
        yield from page.runs
        if (after := page.next) is None:
            return


HEADS = ("ID", "TASK", "STATE", "AGE(S)", "ATTEMPTS", "ERROR")
RUNS = RunList("task", HEADS, _find, describe_runs, _line)


@click.command()
@click.option("--task", help="Only those of this task.")
@RUNS.options
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
    RUNS.show(address, Wanted(task, states, since, key, limit, as_json))
