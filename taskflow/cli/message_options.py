"""What `publish` and `send` share: the options of a message, and where its text comes from."""

import sys
from codecs import BOM_UTF8
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click

from taskflow.cli.options import check_text
from taskflow.cli.parameter_types import Seconds
from taskflow.dashboard.answer import Refused
from taskflow.dashboard.typed_message import read_attributes
from taskflow.message import Attribute

delay_option = click.option(
    "--delay", type=Seconds(), default=0.0, help="Due so much later: 90, 15m, 2h."
)
attribute_option = click.option(
    "--attribute",
    "attributes",
    metavar="NAME[:TYPE]=VALUE",
    multiple=True,
    help="A message attribute: kind=big, cents:Number=990; may be repeated.",
)
deduplication_option = click.option(
    "--deduplication-id", help="FIFO: a second one within five minutes is the first one again."
)


def read_text(given: str) -> bytes:
    """An argument as it is, standard input for `-`, a file for `@FILE`."""
    if given == "-":
        if sys.stdin is None:
            raise click.UsageError("standard input is closed; give the text itself, or @FILE")
        return sys.stdin.buffer.read().removeprefix(BOM_UTF8)
    if given.startswith("@"):
        try:
            return Path(given[1:]).read_bytes().removeprefix(BOM_UTF8)
        except OSError as error:
            raise click.UsageError(f"{given[1:]}: {error.strerror}") from error
    return given.encode(errors="surrogateescape")


def typed_attributes(
    words: Sequence[str], kind: Literal["queue", "topic"]
) -> dict[str, str | Attribute]:
    """The attributes of a message to a queue or topic, by the rules of SQS or SNS."""
    try:
        return read_attributes([check_text(word, "attribute") for word in words], kind)
    except Refused as error:
        raise click.UsageError(error.text) from error
