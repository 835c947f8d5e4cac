"""`taskflow dlq`: look at dead letters; the other commands of the group are imported."""

import json
from itertools import islice
from typing import Any

import click

from taskflow.cli.debugging import debug
from taskflow.cli.letter_acts import ids_option, json_option, known_letters, purge, redrive, resend
from taskflow.cli.letter_causes import causes
from taskflow.cli.letter_filter import Chosen, all_found, letter_options
from taskflow.cli.moves import cancel, move, moves
from taskflow.cli.options import (
    CHUNK,
    broker_option,
    dead_letter_queue,
    dead_letter_queues,
    opened,
    table,
)
from taskflow.clock import rfc3339
from taskflow.message import FAILURE, Delivery, plain_text
from taskflow.sealing.codec import hide_sealed
from taskflow.text import printable
from taskflow.wire.failure_record import read_failure


@click.group()
def dlq() -> None:
    """Dead letters: causes, list, show, redrive, resend, debug, move, purge.

    QUEUE is a queue (audit) or its dead-letter queue (audit-dlq).

    \b
    Example:
      taskflow dlq list audit
      taskflow dlq redrive audit
    """


for command in (causes, redrive, purge, resend, debug, move, moves, cancel):
    dlq.add_command(command)


@dlq.command("list")
@click.argument("queue", required=False)
@click.option(
    "--limit", type=click.IntRange(1, 1_000_000), default=100, help="At most. Default: 100."
)
@letter_options
@json_option
@broker_option
def list_letters(
    queue: str | None, limit: int, chosen: Chosen, as_json: bool, address: str | None
) -> None:
    """List the dead-letter queues, or the dead letters of QUEUE.

    \b
    Example:
      taskflow dlq list audit --limit 20
    """
    with opened(address) as broker:
        if queue is None:
            counts = [
                {"name": name, "dead_letters": one.counts.visible}
                for name, one in broker.survey(dead_letter_queues(broker)).items()
            ]
            lines = [list(one.values()) for one in counts]
            click.echo(json.dumps(counts) if as_json else table(("QUEUE", "DEAD LETTERS"), lines))
            return
        name = dead_letter_queue(broker, queue)
        query = chosen(broker, name)
        if query is None:
            found = broker.peek(name, limit)
        else:
            pages = all_found(broker, query)
            found = [*islice((one.delivery for page in pages for one in page), limit)]
        letters = [_describe(letter) for letter in found]
    if as_json:
        click.echo(json.dumps(letters))
        return
    heads = ("EVENT", "TOPIC", "FAILED AT", "ATTEMPTS", "REASON")
    lines = [
        [
            letter["id"],
            letter["topic"],
            _time(letter["failure"].get("failed_at")),
            letter["failure"].get("attempts", ""),
            _summary(letter["failure"]),
        ]
        for letter in letters
    ]
    click.echo(table(heads, lines) if lines else f"no dead letters in {queue}")


@dlq.command()
@click.argument("queue")
@ids_option
@json_option
@broker_option
def show(queue: str, ids: tuple[str, ...], as_json: bool, address: str | None) -> None:
    """Show dead letters whole: failure, traceback, body.

    \b
    Example:
      taskflow dlq show audit --id 01a3185c-5000-7c20-a29f-6fbed82c07cd
    """
    with opened(address) as broker:
        letters = broker.peek(known_letters(broker, queue, ids), CHUNK, ids)
    found = [_describe(letter) for letter in letters]
    if as_json:
        click.echo(json.dumps(found))
        return
    for letter in found:
        failure = letter.pop("failure")
        said = {name: value for name, value in failure.items() if name not in letter}
        for name, value in {**letter, **said}.items():
            if name == "traceback":
                lines = printable(str(value), lines=True).splitlines()
                click.echo("traceback:\n" + "\n".join(f"  {line}" for line in lines))
            else:
                shown = _time(value) if name.endswith("_at") else value
                click.echo(f"{printable(name)}: {printable(str(shown))}")
        click.echo()


def _describe(letter: Delivery) -> dict[str, Any]:
    attributes = {name: hide_sealed(plain_text(value)) for name, value in letter.attributes.items()}
    written = attributes.pop(FAILURE, "{}")
    failure = read_failure(written)
    return {
        "id": letter.id,
        "topic": letter.topic,
        "body": hide_sealed(letter.body),
        "attributes": attributes,
        "failure": {"reason": written} if failure is None else failure,
    }


def _summary(failure: dict[str, Any]) -> str:
    reason = str(failure.get("reason", ""))
    if "error" in failure:
        text = str(failure.get("message", "")).partition("\n")[0]
        if text != reason:  # a rejection says its reason once
            reason += f": {failure['error']}: {text}"
    return reason if len(reason) <= 100 else reason[:99] + "…"


def _time(value: object) -> str:
    return rfc3339(value) if isinstance(value, int | float) else "-"
