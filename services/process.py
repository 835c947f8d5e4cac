"""How a service starts and stops as a process: logging, settings, exit codes, signals."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from types import FrameType
from typing import NoReturn, TypeVar

from taskflow.errors import ConfigError

Settings = TypeVar("Settings")

EXIT_FAILED = 1
EXIT_USAGE = 2


def start_logging() -> None:
    """Log to stderr, one line per record with time and logger."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )


def load_settings(read: Callable[[Mapping[str, str]], Settings]) -> Settings:
    """Read settings from the process environment; a wrong one ends the process with code 2."""
    try:
        return read(os.environ)
    except ConfigError as error:
        fail(str(error), EXIT_USAGE)


def fail(message: str, code: int = EXIT_FAILED) -> NoReturn:
    """Print one line on stderr and exit with `code`."""
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(code)


def exit_on_stop_signals() -> None:
    """Raise SystemExit in the main thread on SIGTERM or SIGINT; a second signal kills at once."""

    def handle(_signum: int, _frame: FrameType | None) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_DFL)
        raise SystemExit(0)

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, handle)


def first_line(error: Exception) -> str:
    """What went wrong, without the pages some libraries add to it."""
    return (str(error).splitlines() or [type(error).__name__])[0]
