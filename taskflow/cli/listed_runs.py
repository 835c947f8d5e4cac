"""Lists of runs: what `taskflow runs` and `taskflow workflow list` have in common."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import click
import msgspec

from taskflow.broker import Broker
from taskflow.cli.moments import read_since
from taskflow.cli.options import broker_option, opened, table
from taskflow.tasks.run import STATES, Row, State

F = TypeVar("F", bound=Callable[..., Any])


class Wanted(NamedTuple):
    """What the options say."""

    task: str | None
    states: tuple[State, ...]
    since: str | None
    key: str | None
    limit: int
    as_json: bool


class RunList(NamedTuple):
    """How the runs of a kind are shown. `find` answers them, the newest first, called from a time
    on; `describe` an object for each, `line` what of such an object stands in a row, at a time;
    `what` is the option that names a task."""

    what: str
    heads: Sequence[str]
    find: Callable[[Broker, Wanted, float | None], Iterator[Row]]
    describe: Callable[[Broker, Sequence[Row]], Sequence[dict[str, Any]]]
    line: Callable[[dict[str, Any], float], list[Any]]

    def options(self, command: F) -> F:
        """Options of a command that shows them, beside the one that names a task."""
        for option in (
            broker_option,
            click.option("--json", "as_json", is_flag=True, help="A JSON list of objects."),
            click.option(
                "--limit", type=click.IntRange(1, 1_000_000), default=100, help="Default: 100."
            ),
            click.option("--key", help=f"Only the one that holds this key of --{self.what} now."),
            click.option(
                "--since",
                metavar="TIME",
                help="Only those of the last 15m, 2h, 1d; or since a time.",
            ),
            click.option(
                "--state",
                "states",
                multiple=True,
                type=click.Choice([one for one in STATES if one != "unknown"]),
                help="Only those in this state; may be repeated.",
            ),
        ):
            command = option(command)
        return command

    def show(self, address: str | None, wanted: Wanted) -> None:
        """Print them, the newest first. Raises UsageError for a key of no task."""
        if wanted.key is not None and wanted.task is None:
            raise click.UsageError(f"--key is one of a {self.what}; give --{self.what} too")
        with opened(address) as broker:
            now = broker.clock.now()
            since = None if wanted.since is None else read_since("--since", wanted.since, now)
            rows = list(islice(self.find(broker, wanted, since), wanted.limit + 1))
            found = self.describe(broker, rows)
        shown = found[: wanted.limit]
        if wanted.as_json:
            click.echo(msgspec.json.encode(shown))
        else:
            lines = [self.line(one, now) for one in shown]
            click.echo(table(self.heads, lines) if lines else "no such runs")
        if len(found) > wanted.limit:
            click.echo(f"these are the newest {wanted.limit}; --limit shows more", err=True)
