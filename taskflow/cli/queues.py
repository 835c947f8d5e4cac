"""`taskflow queues`: what every queue holds."""

import json
import threading
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import click

from taskflow.broker.admin import Admin
from taskflow.cli.options import broker_option, opened, table
from taskflow.cli.recording import note

HEADS = (
    "QUEUE",
    "VISIBLE",
    "IN FLIGHT",
    "DELAYED",
    "OLDEST(S)",
    "DUE(S)",
    "HANDLED",
    "DEAD-LETTERED",
    "EXPIRED",
    "STATE",
)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="A JSON list of objects.")
@click.option("--watch", is_flag=True, help="Show it again and again, until Ctrl-C.")
@click.option("--every", type=click.FloatRange(0.1), default=2.0, help="Seconds, with --watch.")
@broker_option
def queues(as_json: bool, watch: bool, every: float, address: str | None) -> None:
    """Show what every queue holds: visible, in flight, delayed, and the age of the oldest.

    \b
    Example:
      taskflow queues --json | jq '.[] | select(.due_age_seconds > 60).name'
    """
    with opened(address) as broker, suppress(KeyboardInterrupt):
        show(broker, as_json)
        pause = threading.Condition()
        while watch:
            with pause:
                broker.clock.wait(pause, every)
            if not as_json:
                click.clear()
            show(broker, as_json)


def show(broker: Admin, as_json: bool) -> None:
    """Print the counts of all queues once."""
    found: list[dict[str, Any]] = [
        {"name": name, **asdict(one.counts)} for name, one in broker.survey().items()
    ]
    if as_json:
        click.echo(json.dumps(found))
        return
    lines = [
        [
            one["name"],
            one["visible"],
            one["in_flight"],
            one["delayed"],
            round(one["oldest_age_seconds"], 1),
            round(one["due_age_seconds"], 1),
            one["handled"],
            one["dead_lettered"],
            one["expired"],
            "paused" if one["paused"] else "",
        ]
        for one in found
    ]
    click.echo(table(HEADS, lines) if lines else "no queues; a worker declares them")


@click.command()
@click.argument("queue")
@broker_option
def pause(queue: str, address: str | None) -> None:
    """Let no worker receive from QUEUE until it is resumed; messages gather meanwhile.

    What workers hold already is finished. Works for all processes of the broker file at once.

    \b
    Example:
      taskflow pause audit
    """
    with opened(address) as broker:
        broker.pause(queue)
        note(broker, "pause", queue=queue)
    click.echo(f"paused {queue}")


@click.command()
@click.argument("queue")
@broker_option
def resume(queue: str, address: str | None) -> None:
    """Let workers receive from QUEUE again.

    \b
    Example:
      taskflow resume audit
    """
    with opened(address) as broker:
        broker.pause(queue, paused=False)
        note(broker, "resume", queue=queue)
    click.echo(f"resumed {queue}")
