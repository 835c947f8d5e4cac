"""`taskflow dlq redrive|purge|resend`: what is done with dead letters, one, some or all."""

import json
import sys
import threading
from collections.abc import Callable, Collection

import click

from taskflow.broker import Broker
from taskflow.broker.admin import Admin
from taskflow.broker.message_query import MessageQuery
from taskflow.cli.letter_filter import PAGE, Chosen, ids_of, letter_options
from taskflow.cli.message_options import read_text
from taskflow.cli.options import (
    CHUNK,
    broker_option,
    check_id,
    check_text,
    dead_letter_queue,
    in_chunks,
    opened,
    progress,
)
from taskflow.cli.recording import note
from taskflow.limits import MAX_MOVE_RATE
from taskflow.message import new_id
from taskflow.wire.resending import edited

MANY = 100
"""More than so many are confirmed by their number."""

ids_option = click.option("--id", "ids", multiple=True, help="Only this event; may be repeated.")
json_option = click.option("--json", "as_json", is_flag=True, help="As JSON.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
rate_option = click.option(
    "--rate",
    type=click.IntRange(1, MAX_MOVE_RATE),
    help="At most so many a second; default: as fast as it goes.",
)


@click.command()
@click.argument("queue")
@ids_option
@letter_options
@click.option("--to", "to", metavar="QUEUE", help="There, instead of where each came from.")
@rate_option
@yes_option
@json_option
@broker_option
def redrive(
    queue: str,
    ids: tuple[str, ...],
    chosen: Chosen,
    to: str | None,
    rate: int | None,
    yes: bool,
    as_json: bool,
    address: str | None,
) -> None:
    """Send dead letters back to the queue they came from, to be tried anew; all, or some.

    On a terminal it asks for the number, if there are more than 100. What somebody holds at the
    moment stays.

    \b
    Example:
      taskflow dlq redrive audit
      taskflow dlq redrive audit --error ConnectionError --rate 10
    """
    with opened(address) as broker:
        letters = known_letters(broker, queue, ids)
        these = _these(broker, letters, ids, chosen)
        if to is not None and these is None:
            these = _everything(broker, letters)
        held = len(these) if these is not None else broker.counts(letters).visible
        if held > MANY and not yes and sys.stdin.isatty():
            _confirm(f"Redrive {held} dead letters of {queue}?", held)
        if to is not None:
            target = to
            moved = _act(
                broker, letters, these, lambda some, _: broker.transfer(letters, some, target),
                "moving", held, rate,
            )  # fmt: skip
        else:
            moved = _act(
                broker, letters, these, lambda some, most: broker.redrive(letters, some, most),
                "redriving", held, rate,
            )  # fmt: skip
        did = "redrive" if to is None else "move"
        note(broker, did, queue=letters, target=to or ids, count=moved)
    _tell(as_json, f"{'redrove' if to is None else 'moved'} {moved} dead letters of {queue}", moved)


@click.command()
@click.argument("queue")
@ids_option
@letter_options
@rate_option
@yes_option
@json_option
@broker_option
def purge(
    queue: str,
    ids: tuple[str, ...],
    chosen: Chosen,
    rate: int | None,
    yes: bool,
    as_json: bool,
    address: str | None,
) -> None:
    """Delete dead letters for good; all, or some.

    It asks; for the number, if there are more than 100.

    \b
    Example:
      taskflow dlq purge audit --yes
      taskflow dlq purge audit --cause 61eb8b0d6ab2d9f2
    """
    with opened(address) as broker:
        letters = known_letters(broker, queue, ids)
        these = _these(broker, letters, ids, chosen)
        held = len(these) if these is not None else broker.counts(letters).visible
        if not yes:
            _confirm(f"Delete {held} dead letters of {queue} for good?", held)
        gone = _act(
            broker, letters, these, lambda some, most: broker.purge(letters, some, most),
            "deleting", held, rate,
        )  # fmt: skip
        note(broker, "delete", queue=letters, target=ids, count=gone)
    _tell(as_json, f"deleted {gone} dead letters of {queue}", gone)


@click.command()
@click.argument("queue")
@click.argument("id")
@click.option("--body", metavar="JSON|-|@FILE", help="The new body; default: an editor opens.")
@click.option("--as-is", is_flag=True, help="Send it as it is, under another id.")
@json_option
@broker_option
def resend(
    queue: str, id: str, body: str | None, as_is: bool, as_json: bool, address: str | None
) -> None:
    """Send the dead letter ID of QUEUE anew, edited: another message, in place of the letter.

    It goes to the queue where the letter died, under a new id, and has the attribute
    `taskflow.caused_by`. Letter and message change places in one step: nothing is lost or there
    twice.

    \b
    Example:
      taskflow dlq resend audit e0 --body '{"specversion": "1.0", …}'
    """
    with opened(address) as broker:
        letters = known_letters(broker, queue, (check_id(id),))
        (letter, *_) = broker.peek(letters, 1, [id])
        text = letter.body
        if body is not None:
            text = check_text(bytes(read_text(body)).decode(errors="surrogateescape"), "body")
        elif not as_is:
            found = click.edit(letter.body, extension=".json")
            if found is None:
                raise click.Abort
            text = found.removesuffix("\n")
        fresh = new_id(broker.clock.now(), broker.random)
        sent = broker.resend(letters, id, edited(letter, fresh, body=text))
        note(broker, "resend", queue=letters, target=id, count=1)
    click.echo(json.dumps({"id": sent, "caused_by": id}) if as_json else sent)


def known_letters(broker: Admin, queue: str, ids: Collection[str]) -> str:
    """The DLQ of a queue, with every id in it. Raises UsageError."""
    letters = dead_letter_queue(broker, queue)
    if missing := set(ids) - {letter.id for letter in broker.peek(letters, CHUNK, ids) if ids}:
        raise click.UsageError(f"no dead letter {min(missing)!r} in {letters}")
    return letters


def _these(broker: Broker, letters: str, ids: Collection[str], chosen: Chosen) -> list[str] | None:
    """The ids of what is meant; None for all there is."""
    query = chosen(broker, letters)
    if query is None:
        return list(ids) or None
    found = ids_of(broker, query)
    return [one for one in found if not ids or one in ids]


def _everything(broker: Broker, letters: str) -> list[str]:
    query = MessageQuery(
        queues=[letters],
        states=["dead"],
        died_before=broker.clock.now(),
        order="oldest",
        limit=PAGE,
    )
    return ids_of(broker, query)


def _act(
    broker: Broker,
    letters: str,
    these: list[str] | None,
    act: Callable[[Collection[str], int], int],
    what: str,
    held: int,
    rate: int | None,
) -> int:
    """Work in short transactions, at a rate; answers how many it were."""
    pause, size = threading.Condition(), min(PAGE if these is not None else CHUNK, rate or CHUNK)

    def some(most: int) -> int:
        done = act((), min(most, size))
        _wait(broker, pause, done, rate)
        return done

    if these is None:
        return in_chunks(some, held, what)
    done = 0
    with progress(what, max(1, len(these))) as moved:
        for start in range(0, len(these), size):
            part = these[start : start + size]
            count = act(part, 10 * len(part))
            done += count
            moved(len(part))
            _wait(broker, pause, len(part) if start + size < len(these) else 0, rate)
    return done


def _wait(broker: Broker, pause: threading.Condition, done: int, rate: int | None) -> None:
    if rate is not None and done:
        with pause:
            broker.clock.wait(pause, done / rate)


def _confirm(question: str, count: int) -> None:
    if count <= MANY:
        click.confirm(question, abort=True)
    elif click.prompt(f"{question} Type {count} to go on", type=str).strip() != str(count):
        raise click.Abort


def _tell(as_json: bool, line: str, count: int) -> None:
    click.echo(json.dumps({"count": count}) if as_json else line)
