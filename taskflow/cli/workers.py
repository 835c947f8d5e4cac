"""`taskflow workers`: who is working on the broker now."""

import json

import click
import msgspec

from taskflow.cli.options import broker_option, opened, table

HEADS = ("HOST", "PID", "QUEUES", "BUSY", "SLOTS", "RUNS", "FAILED", "SKIPPED", "UP(S)", "SEEN(S)")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="A JSON list of objects.")
@broker_option
def workers(as_json: bool, address: str | None) -> None:
    """List the worker processes that reported within the last 30 seconds.

    \b
    Example:
      taskflow workers
    """
    with opened(address) as broker:
        found = broker.workers()
        now = broker.clock.now()
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(found)))
        return
    lines = [
        [
            one.host,
            one.pid,
            ",".join(one.queues),
            one.busy,
            one.slots,
            round(sum(totals["runs"] for totals in one.handlers.values())),
            round(sum(totals["failed"] for totals in one.handlers.values())),
            round(sum(totals.get("skipped", 0) for totals in one.handlers.values())),
            round(now - one.started_at),
            round(now - one.seen_at),
        ]
        for one in found
    ]
    click.echo(table(HEADS, lines) if lines else "no worker has reported within 30 s")
