"""`taskflow dlq causes`: what dead letters died of."""

import click
import msgspec

from taskflow.broker.cause import Cause
from taskflow.cli.options import broker_option, dead_letter_queue, opened, table
from taskflow.clock import rfc3339

HEADS = ("LETTERS", "CAUSE", "QUEUE", "HANDLER", "WHAT", "WHERE", "LAST")


@click.command()
@click.argument("queue", required=False)
@click.option("--json", "as_json", is_flag=True, help="A JSON list of objects.")
@broker_option
def causes(queue: str | None, as_json: bool, address: str | None) -> None:
    """Count dead letters by what they died of: handler, exception and place; the most first.

    `dlq list`, `redrive` and `purge` take --cause.

    \b
    Example:
      taskflow dlq causes audit
    """
    with opened(address) as broker:
        found = broker.causes(queue and dead_letter_queue(broker, queue))
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    click.echo(table(HEADS, [_line(one) for one in found]) if found else "no dead letters")


def _line(cause: Cause) -> list[object]:
    return [
        cause.count,
        cause.id,
        cause.source or cause.queue,
        cause.handler or "-",
        cause.error or cause.reason,
        cause.place or "-",
        rfc3339(cause.last_at),
    ]
