"""`taskflow peek`: what waits in a queue, without receiving it."""

import json
from typing import Any

import click

from taskflow.cli.options import broker_option, opened, table
from taskflow.clock import rfc3339
from taskflow.message import Delivery, plain_text
from taskflow.sealing.codec import hide_sealed

WIDTH = 60
HEADS = ("ID", "SENT AT", "RECEIVED", "STATE", "BODY")


@click.command()
@click.argument("queue")
@click.option(
    "--limit", type=click.IntRange(1, 1_000_000), default=20, help="At most. Default: 20."
)
@click.option("--id", "ids", multiple=True, help="Only this message; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, whole.")
@broker_option
def peek(queue: str, limit: int, ids: tuple[str, ...], as_json: bool, address: str | None) -> None:
    """Look at the oldest messages of QUEUE without receiving them.

    \b
    Example:
      taskflow peek audit --json | jq '.[].body'
    """
    with opened(address) as broker:
        now = broker.clock.now()
        found = [_describe(one, now) for one in broker.peek(queue, limit, ids)]
    if as_json:
        click.echo(json.dumps(found))
        return
    lines = [
        [one["id"], rfc3339(one["sent_at"]), one["receive_count"], one["state"], _cut(one["body"])]
        for one in found
    ]
    click.echo(table(HEADS, lines) if lines else f"no messages in {queue}")


def _describe(one: Delivery, now: float) -> dict[str, Any]:
    hidden = "in flight" if one.receive_count else "delayed"
    return {
        "id": one.id,
        "topic": one.topic,
        "group": one.group,
        "deduplication_id": one.deduplication_id,
        "state": hidden if one.visible_at > now else "visible",
        "sent_at": one.sent_at,
        "visible_at": one.visible_at,
        "receive_count": one.receive_count,
        "attributes": {
            name: hide_sealed(plain_text(value)) for name, value in one.attributes.items()
        },
        "body": hide_sealed(one.body),
    }


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= WIDTH else line[: WIDTH - 1] + "…"
