"""What several commands share: the broker, options, progress, tables."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import click

from taskflow.broker import Broker
from taskflow.broker.admin import Admin
from taskflow.config import address_of, open_broker, setting
from taskflow.errors import QueueNotFound
from taskflow.limits import DLQ_SUFFIX, FIFO_SUFFIX
from taskflow.registry import default_registry
from taskflow.sealing.sealed_broker import sealed
from taskflow.text import check_line, printable

CHUNK = 1000  # messages of one transaction
QUIET = 1000  # work on fewer messages than this shows no progress

broker_option = click.option(
    "--broker",
    "address",
    metavar="URL",
    help="sqlite:///broker.db, postgresql://user@host/database, aws://REGION or memory://.",
)
module_option = click.option(
    "--module",
    "-m",
    "modules",
    multiple=True,
    help="A module that holds handlers; may be repeated.",
)

keys_option = click.option(
    "--keys",
    "keys_path",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the access keys lie; default: beside the broker file.",
)

Kind = Literal["queue", "topic"]


def keys_setting(given: Path | None) -> Path | None:
    """Where the access keys lie, if somebody says so: --keys, or the setting."""
    said = setting("keys")
    return given or (Path(said) if said else None)


def kind_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--queue and --topic, for a NAME that is both."""
    for kind, other in (("topic", "queue"), ("queue", "topic")):
        command = click.option(
            f"--{kind}", "kind", flag_value=kind, help=f"NAME is the {kind}, not the {other}."
        )(command)
    return command


@contextmanager
def opened(address: str | None, create: bool = False) -> Iterator[Broker]:
    """The broker of a command, closed at its end; it seals, if the modules that are loaded have a
    codec. Only some commands make a missing file."""
    broker = open_broker(address, create=create)
    try:
        yield sealed(broker, default_registry.codec)
    finally:
        broker.close()


def warn_of_memory(address: str | None) -> None:
    """What goes into a broker in memory is gone when the command ends."""
    if address_of(address).startswith("memory:"):
        click.echo(
            "Warning: memory:// ends with this command, and what it holds with it; "
            "write --broker sqlite:///taskflow.db",
            err=True,
        )


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal for long work; elsewhere a line for every tenth part."""
    if total <= QUIET or sys.stderr.isatty():
        with click.progressbar(
            length=total, label=what, file=sys.stderr, hidden=total <= QUIET
        ) as bar:
            yield bar.update
        return
    done = tenths = 0

    def tell(count: int) -> None:
        nonlocal done, tenths
        done += count
        if done * 10 // total > tenths:
            tenths = done * 10 // total
            click.echo(f"{what}: {done} of {total}", err=True)

    yield tell


def read_pairs(words: Sequence[str], what: str) -> dict[str, str]:
    """Words such as `stage=live`, as a dict. A value may be empty and may hold another `=`."""
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = check_text(word, what).partition("=")
        if not key or not equals:
            raise click.UsageError(f"the {what} {word!r} is not written as key=value")
        if key in found:
            raise click.UsageError(f"the {what} {key!r} is there twice")
        found[key] = value
    return found


def check_text(text: str, what: str) -> str:
    """Return an argument that is UTF-8, as a store takes it; others raise UsageError."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise click.UsageError(f"the {what} {text!r} is no UTF-8") from error
    return text


def check_id(text: str) -> str:
    """Return an --id that can be one, else raise UsageError."""
    try:
        return check_line("--id", check_text(text, "--id"))
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def in_chunks(act: Callable[[int], int], total: int, what: str) -> int:
    """Work on `total` messages in short transactions, so that workers go on meanwhile: `act` does
    at most so many and answers how many. No more than were there at the start."""
    left, done = total, 0
    with progress(what, total) as moved:
        while left > 0 and (some := act(min(left, CHUNK))):
            done += some
            left -= some
            moved(some)
    return done


def kind_of(broker: Admin, name: str) -> Kind:
    """Whether a queue or a topic has this name. Raises UsageError when none has, or both."""
    queues, topics = broker.queues(), broker.topics()
    if name in queues and name in topics:
        raise click.UsageError(f"there is a queue {name!r} and a topic; say --queue or --topic")
    if name not in queues and name not in topics:
        text = str(QueueNotFound(name, {*queues, *topics}))
        raise click.UsageError(text.replace("no queue", "no queue or topic", 1))
    return "queue" if name in queues else "topic"


def dead_letter_queue(broker: Admin, queue: str) -> str:
    """The DLQ of a queue, given by its own name or by the queue's. Raises QueueNotFound."""
    letters = dead_letter_queues(broker)
    if queue in letters:
        return queue
    names = broker.queues()
    if queue not in names:
        raise QueueNotFound(queue, [name for name in names if name not in letters])
    target = broker.settings(queue).dead_letter_queue
    if target is None:
        raise click.UsageError(f"queue {queue!r} has no dead-letter queue")
    return target


def dead_letter_queues(broker: Admin) -> list[str]:
    """Every queue that takes dead letters, sorted."""
    found = broker.survey()
    targets = {one.settings.dead_letter_queue for one in found.values()}
    return [
        name
        for name in found
        if name in targets or name.removesuffix(FIFO_SUFFIX).endswith(DLQ_SUFFIX)
    ]


def table(heads: Sequence[str], lines: Sequence[Sequence[Any]]) -> str:
    """Columns of text; numbers to the right."""
    cells = [[printable(str(value)) for value in line] for line in lines]
    widths = [max(len(text) for text in column) for column in zip(heads, *cells, strict=True)]
    right = [bool(lines) and isinstance(value, int | float) for value in (lines or [heads])[0]]

    def line(texts: Sequence[str]) -> str:
        return "  ".join(
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(texts, widths, right, strict=True)
        ).rstrip()

    return "\n".join([line(heads), *map(line, cells)])
