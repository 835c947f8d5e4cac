"""`taskflow find`: messages wherever they lie."""

import json
from typing import Any

import click
import msgspec

from taskflow.broker.message_query import Found, MessageQuery
from taskflow.cli.moments import read_since
from taskflow.cli.options import broker_option, opened, table
from taskflow.clock import rfc3339
from taskflow.message import plain_text
from taskflow.sealing.codec import hide_sealed

HEADS = ("ID", "QUEUE", "STATE", "TOPIC", "SENT AT", "ATTEMPTS")
STATES = ("waiting", "delayed", "in_flight", "dead")


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]…")
@click.option("--queue", "queues", multiple=True, help="Only in this queue.")
@click.option("--topic", "topics", multiple=True, help="Only of this topic.")
@click.option(
    "--state", "states", multiple=True, type=click.Choice(STATES), help="Only in this state."
)
@click.option("--group", "groups", multiple=True, help="Only of this message group.")
@click.option("--key", "keys", multiple=True, help="Only of the run that holds this key.")
@click.option("--handler", "handlers", multiple=True, help="Only what died in this handler.")
@click.option("--error", "errors", multiple=True, help="Only what died of this exception.")
@click.option("--cause", "causes", multiple=True, help="Only of this cause.")
@click.option("--text", help="Only with this text in body or attributes.")
@click.option("--since", help="Only what was sent since then: 15m, 2h, 1d, or a time.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=100, help="Default: 100.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, whole.")
@broker_option
def find(since: str | None, limit: int, as_json: bool, address: str | None, **asked: Any) -> None:
    """Find messages in all queues, the newest first. `shop.*` stands for all that begin so.

    A text is looked for in message after message: it goes on until the end, or Ctrl-C.

    \b
    Example:
      taskflow find 01a3185c-5000-7c20-a29f-6fbed82c07cd
      taskflow find --state dead --error ValueError --since 2h
    """
    found: list[Found] = []
    with opened(address) as broker:
        sent_from = None if since is None else read_since("--since", since, broker.clock.now())
        query = MessageQuery(**asked, sent_from=sent_from, limit=min(limit, 500))
        try:
            while len(found) < limit:
                page = broker.find(query)
                found += page.messages
                if page.next is None:
                    break
                query = msgspec.structs.replace(query, after=page.next)
        except KeyboardInterrupt:
            click.echo("stopped before the end", err=True)
    found = found[:limit]
    if as_json:
        click.echo(json.dumps([_describe(one) for one in found]))
        return
    lines = [
        [
            one.delivery.id,
            one.delivery.queue,
            one.state.replace("_", " "),
            one.delivery.topic or "-",
            rfc3339(one.delivery.sent_at),
            one.attempts,
        ]
        for one in found
    ]
    click.echo(table(HEADS, lines) if lines else "no such message")


def _describe(one: Found) -> dict[str, Any]:
    delivery = one.delivery
    return {
        "id": delivery.id,
        "queue": delivery.queue,
        "topic": delivery.topic,
        "state": one.state,
        "group": delivery.group,
        "sent_at": delivery.sent_at,
        "attempts": one.attempts,
        "source": delivery.source,
        "cause": one.cause,
        "died_at": one.died_at,
        "attributes": {
            name: hide_sealed(plain_text(value)) for name, value in delivery.attributes.items()
        },
        "body": hide_sealed(delivery.body),
    }
