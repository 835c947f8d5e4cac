"""The `taskflow` command."""

import io
import logging
import sys
from pathlib import Path

import click

import taskflow
from taskflow.cli.describe import describe
from taskflow.cli.dlq import dlq
from taskflow.cli.keys import keys
from taskflow.cli.peek import peek
from taskflow.cli.publish import publish
from taskflow.cli.purge import purge
from taskflow.cli.queues import pause, queues, resume
from taskflow.cli.send import send
from taskflow.cli.serve import serve
from taskflow.cli.tags import tags
from taskflow.cli.top import top
from taskflow.cli.topology import topology
from taskflow.cli.worker import worker
from taskflow.cli.workers import workers
from taskflow.config import setting
from taskflow.errors import BrokerUnavailable, TaskflowError
from taskflow.text import printable

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class _Group(click.Group):
    """Turns taskflow's errors into one line and an exit code: 2 for bad input, 1 for a broker
    that cannot be used."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except TaskflowError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(1 if isinstance(error, BrokerUnavailable) else 2)
        except UnicodeEncodeError as error:
            click.echo(f"Error: {error.object!r} is no UTF-8", err=True)
            ctx.exit(2)


class _Lines(logging.Formatter):
    """One record, one line (but for tracebacks), whatever is in its text."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return printable(super().formatMessage(record))


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(taskflow.__version__, prog_name="taskflow")
@click.option("--log-level", type=click.Choice(LEVELS, case_sensitive=False), help="Default: INFO.")
def main(log_level: str | None) -> None:
    """Events, queues and workers: publish, work, look, repair.

    Every option is read from its flag, else from a TASKFLOW_… variable, else from [taskflow] in
    ./setup.cfg. Exit codes: 0 done, 1 the broker or a run failed, 2 bad input.

    \b
    Example:
      taskflow worker audit --module shop.handlers
      taskflow publish order.created '{"order_id": "ord_1"}'

    \b
    Shell completion (bash; zsh and fish likewise):
      eval "$(_TASKFLOW_COMPLETE=bash_source taskflow)"
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what the terminal's encoding lacks, as an escape
            stream.reconfigure(errors="backslashreplace")
    level = (log_level or setting("log_level") or "INFO").upper()
    if level not in LEVELS:
        raise click.UsageError(f"log_level is {level!r}; allowed: {', '.join(LEVELS)}")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.insert(_before_packages(), folder)


def _before_packages() -> int:
    """Where modules of the current folder are looked for: after Python's own, which a `queue.py`
    there must not replace, and before all that is installed."""
    kinds = ("site-packages", "dist-packages")
    places = [number for number, path in enumerate(sys.path) if Path(path).name in kinds]
    return places[0] if places else len(sys.path)


COMMANDS = (
    *(worker, publish, send, queues, describe, tags, peek, purge, pause, resume, dlq, topology),
    *(workers, top, serve, keys),
)
for command in COMMANDS:
    main.add_command(command)
