"""What several commands share: the broker, the modules with handlers, tables."""

import importlib
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from taskflow.broker import Broker
from taskflow.config import open_broker, setting
from taskflow.errors import ConfigError, QueueNotFound
from taskflow.limits import DLQ_SUFFIX
from taskflow.registry import Registry, default_registry

broker_option = click.option(
    "--broker", "address", metavar="URL", help="sqlite:///broker.db or memory://."
)
module_option = click.option(
    "--module",
    "-m",
    "modules",
    multiple=True,
    help="A module that holds handlers; may be repeated.",
)


@contextmanager
def opened(address: str | None) -> Iterator[Broker]:
    """The broker of a command, closed at its end."""
    broker = open_broker(address)
    try:
        yield broker
    finally:
        broker.close()


def load_registry(modules: Sequence[str]) -> Registry:
    """Import the modules with handlers, and answer what they subscribed.

    Raises ConfigError naming the module and the line when one does not import.
    """
    for name in modules or (setting("modules") or "").replace(",", " ").split():
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name and (name == error.name or name.startswith(f"{error.name}.")):
                raise ConfigError(f"no module named {name!r} in {sys.path[0]}") from error
            raise _failed(name, error) from error
        except Exception as error:
            raise _failed(name, error) from error
    return default_registry


def _failed(name: str, error: Exception) -> ConfigError:
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "importlib" not in frame.filename and not frame.filename.startswith(__file__)
    ]
    where = f"{frames[-1].filename}, line {frames[-1].lineno}: " if frames else ""
    if isinstance(error, SyntaxError):
        where = f"{error.filename}, line {error.lineno}: "
    return ConfigError(f"module {name!r} failed to import: {where}{type(error).__name__}: {error}")


def dead_letter_queue(broker: Broker, queue: str) -> str:
    """The DLQ of a queue, given by its own name or by the queue's. Raises QueueNotFound."""
    names = broker.queues()
    if queue in names:
        return broker.settings(queue).dead_letter_queue or queue
    raise QueueNotFound(queue, [name for name in names if not name.endswith(DLQ_SUFFIX)])


def table(heads: Sequence[str], lines: Sequence[Sequence[Any]]) -> str:
    """Columns of text; numbers to the right."""
    cells = [[str(value) for value in line] for line in lines]
    widths = [max(len(text) for text in column) for column in zip(heads, *cells, strict=True)]
    right = [bool(lines) and isinstance(value, int | float) for value in (lines or [heads])[0]]

    def line(texts: Sequence[str]) -> str:
        return "  ".join(
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(texts, widths, right, strict=True)
        ).rstrip()

    return "\n".join([line(heads), *map(line, cells)])


class Seconds(click.ParamType[float]):
    """A duration: `90`, `1.5`, or with a unit: `90s`, `15m`, `2h`, `1d`."""

    name = "duration"
    _units = {"s": 1, "m": 60, "h": 3600, "d": 86400}  # noqa: RUF012 - click's own style

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        text = str(value)
        unit = self._units.get(text[-1:], None)
        try:
            seconds = float(text if unit is None else text[:-1]) * (unit or 1)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds < float("inf"):
            self.fail(f"{value!r} is no duration; examples: 90, 1.5, 90s, 15m, 2h, 1d", param, ctx)
        return seconds
