"""The arguments of a call as words of a command line, and as JSON."""

from collections.abc import Mapping, Sequence

import click
import msgspec

from taskflow.cli.options import check_text
from taskflow.errors import DecodeError
from taskflow.tasks.parameters import Parameters


def read_words(words: Sequence[str], parameters: Parameters | None) -> list[msgspec.Raw]:
    """Each word as JSON, or as text where it is none, or where the function takes text there.
    Raises click.UsageError for JSON that is nested too deep."""
    return [_read_word(at, word, parameters) for at, word in enumerate(words)]


def read_named(text: str | None) -> Mapping[str, msgspec.Raw]:
    """The object of --kwargs. Raises click.UsageError for what is none."""
    if text is None:
        return {}
    try:
        msgspec.json.decode(check_text(text, "--kwargs"))
        return msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError) as error:
        raise click.UsageError(f"--kwargs is no JSON object: {error}") from error


def check_types(
    task: str,
    parameters: Parameters,
    args: Sequence[msgspec.Raw],
    kwargs: Mapping[str, msgspec.Raw],
) -> None:
    """Raise click.UsageError for what the function would not take when it runs."""
    try:
        parameters.check(task, args, kwargs)
    except TypeError as error:
        raise click.UsageError(str(error)) from error
    try:
        parameters.decode(
            task, msgspec.Raw(msgspec.json.encode(args)), msgspec.Raw(msgspec.json.encode(kwargs))
        )
    except Exception as error:  # the types may have checks of their own, which raise what they like
        raise click.UsageError(f"{task}: {_told(error)}") from error


def _read_word(at: int, word: str, parameters: Parameters | None) -> msgspec.Raw:
    text = msgspec.Raw(msgspec.json.encode(check_text(word, "argument")))
    try:
        msgspec.json.decode(word)
    except msgspec.DecodeError:
        return text
    except RecursionError as error:
        raise click.UsageError(f"argument {at + 1} is nested too deep: {error}") from error
    value = msgspec.Raw(word.strip())
    if parameters is None or at >= parameters.most or parameters.fits(at, value):
        return value
    return text if parameters.fits(at, text) else value


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, DecodeError) else f"{type(error).__name__}: {error}"
