"""`taskflow dlq`: look at dead letters, send them back, move or delete them."""

import json
from collections.abc import Callable
from typing import Any

import click

from taskflow.broker.admin import Admin
from taskflow.cli.moves import cancel, move, moves
from taskflow.cli.options import (
    CHUNK,
    broker_option,
    dead_letter_queue,
    dead_letter_queues,
    in_chunks,
    opened,
    table,
)
from taskflow.clock import rfc3339
from taskflow.message import FAILURE, Delivery, plain_text
from taskflow.sealing.codec import hide_sealed
from taskflow.text import printable

ids_option = click.option("--id", "ids", multiple=True, help="Only this event; may be repeated.")
json_option = click.option("--json", "as_json", is_flag=True, help="As JSON.")


@click.group()
def dlq() -> None:
    """Dead letters: list, show, redrive, move, purge.

    QUEUE is a queue (audit) or its dead-letter queue (audit-dlq).

    \b
    Example:
      taskflow dlq list audit
      taskflow dlq redrive audit
    """


for command in (move, moves, cancel):
    dlq.add_command(command)


@dlq.command("list")
@click.argument("queue", required=False)
@click.option(
    "--limit", type=click.IntRange(1, 1_000_000), default=100, help="At most. Default: 100."
)
@json_option
@broker_option
def list_letters(queue: str | None, limit: int, as_json: bool, address: str | None) -> None:
    """List the dead-letter queues, or the dead letters of QUEUE.

    \b
    Example:
      taskflow dlq list audit --limit 20
    """
    with opened(address) as broker:
        if queue is None:
            counts = [
                {"name": name, "dead_letters": broker.counts(name).visible}
                for name in dead_letter_queues(broker)
            ]
            lines = [list(one.values()) for one in counts]
            click.echo(json.dumps(counts) if as_json else table(("QUEUE", "DEAD LETTERS"), lines))
            return
        letters = [
            _describe(letter) for letter in broker.peek(dead_letter_queue(broker, queue), limit)
        ]
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
        letters = broker.peek(_known(broker, queue, ids), CHUNK, ids)
    found = [_describe(letter) for letter in letters]
    if as_json:
        click.echo(json.dumps(found))
        return
    for letter in found:
        failure = letter.pop("failure")
        for name, value in {**letter, **failure}.items():
            if name == "traceback":
                lines = printable(str(value), lines=True).splitlines()
                click.echo("traceback:\n" + "\n".join(f"  {line}" for line in lines))
            else:
                shown = _time(value) if name.endswith("_at") else value
                click.echo(f"{name}: {printable(str(shown), lines=True)}")
        click.echo()


@dlq.command()
@click.argument("queue")
@ids_option
@broker_option
def redrive(queue: str, ids: tuple[str, ...], address: str | None) -> None:
    """Send dead letters back to the queue they came from, to be tried anew.

    \b
    Example:
      taskflow dlq redrive audit
    """
    with opened(address) as broker:
        letters = _known(broker, queue, ids)
        moved = _act(broker, letters, ids, broker.redrive, "redriving")
    click.echo(f"redrove {moved} dead letters of {queue}")


@dlq.command()
@click.argument("queue")
@ids_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@broker_option
def purge(queue: str, ids: tuple[str, ...], yes: bool, address: str | None) -> None:
    """Delete dead letters for good.

    \b
    Example:
      taskflow dlq purge audit --yes
    """
    with opened(address) as broker:
        letters = _known(broker, queue, ids)
        held = len(ids) or broker.counts(letters).visible
        if not yes:
            click.confirm(f"Delete {held} dead letters of {queue} for good?", abort=True)
        gone = _act(broker, letters, ids, broker.purge, "deleting")
    click.echo(f"deleted {gone} dead letters of {queue}")


def _known(broker: Admin, queue: str, ids: tuple[str, ...]) -> str:
    """The DLQ, with every id in it."""
    letters = dead_letter_queue(broker, queue)
    if missing := set(ids) - {letter.id for letter in broker.peek(letters, CHUNK, ids) if ids}:
        raise click.UsageError(f"no dead letter {min(missing)!r} in {letters}")
    return letters


def _act(
    broker: Admin, letters: str, ids: tuple[str, ...], act: Callable[..., int], what: str
) -> int:
    if ids:
        return act(letters, ids)
    return in_chunks(lambda most: act(letters, (), most), broker.counts(letters).visible, what)


def _describe(letter: Delivery) -> dict[str, Any]:
    attributes = {name: hide_sealed(plain_text(value)) for name, value in letter.attributes.items()}
    failure = _read_failure(attributes.pop(FAILURE, "{}"))
    return {
        "id": letter.id,
        "topic": letter.topic,
        "body": hide_sealed(letter.body),
        "attributes": attributes,
        "failure": failure,
    }


def _read_failure(text: str) -> dict[str, Any]:
    """A failure record; anybody may send a message with an attribute of that name."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"reason": text}


def _summary(failure: dict[str, Any]) -> str:
    reason = str(failure.get("reason", ""))
    if "error" in failure:
        text = str(failure["message"]).partition("\n")[0]
        if text != reason:  # a rejection says its reason once
            reason += f": {failure['error']}: {text}"
    return reason if len(reason) <= 100 else reason[:99] + "…"


def _time(value: object) -> str:
    return rfc3339(value) if isinstance(value, float) else "-"
