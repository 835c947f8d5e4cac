"""`taskflow actions`: who did what, by the command line or the dashboard."""

import click
import msgspec

from taskflow.broker.action import ActionQuery
from taskflow.cli.moments import read_since
from taskflow.cli.options import broker_option, opened, table
from taskflow.clock import rfc3339

HEADS = ("AT", "WHO", "DID", "QUEUE", "TARGET", "COUNT", "BY", "HOST")


@click.command()
@click.option("--who", help="Only what this user did.")
@click.option("--did", help="Only this: redrive, delete, pause …")
@click.option("--queue", help="Only what was done to this queue.")
@click.option("--since", help="Only since then: 15m, 2h, 1d, or a time.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, help="Default: 100.")
@click.option("--json", "as_json", is_flag=True, help="A JSON list of objects.")
@broker_option
def actions(
    who: str | None,
    did: str | None,
    queue: str | None,
    since: str | None,
    limit: int,
    as_json: bool,
    address: str | None,
) -> None:
    """List what people changed, the newest first; of 90 days, and the last 10,000.

    \b
    Example:
      taskflow actions --since 1d --did redrive
    """
    with opened(address) as broker:
        at_from = None if since is None else read_since("--since", since, broker.clock.now())
        query = ActionQuery(who=who, did=did, queue=queue, at_from=at_from, limit=limit)
        found = broker.list_actions(query).actions
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    lines = [
        [
            rfc3339(one.at),
            one.who,
            one.did if one.result is None else f"{one.did}: {one.result}",
            one.queue or "-",
            one.target or "-",
            "-" if one.count is None else one.count,
            one.via or "-",
            one.host or "-",
        ]
        for one in found
    ]
    click.echo(table(HEADS, lines) if lines else "nothing is noted")
