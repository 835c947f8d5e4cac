"""Waiting for a run at a terminal: a bar meanwhile, and in the end an exit code."""

import sys
from typing import TextIO

import click
import msgspec

from taskflow.broker import Broker
from taskflow.cli.parameter_types import Seconds
from taskflow.errors import NoResult, ResultError, ResultTimeout, RunFailed
from taskflow.tasks.result import Result
from taskflow.text import printable

FAILED, TOO_LATE = 1, 124
"""Exit codes: a run that ended without a result or is not there, and one that has not ended in
time (as `timeout` of the coreutils has it)."""
LOOK = 0.2  # seconds between two looks at the progress
PARTS = 1000  # of a bar

wait_options = (
    click.option("--wait", is_flag=True, help="Wait until it has ended."),
    click.option("--timeout", type=Seconds(), help="Wait so long at most: 90, 15m, 2h."),
)


def check_timeout(wait: bool, timeout: float | None) -> None:
    """Raise UsageError for a timeout of nothing."""
    if timeout is not None and not wait:
        raise click.UsageError("--timeout is how long --wait waits; give both")


def await_run(
    broker: Broker, id: str, timeout: float | None, *, traceback: bool
) -> msgspec.Raw | None:
    """The result of a run once it has ended, as JSON. When it has none: says why, and ends the
    command with an exit code."""
    result: Result[msgspec.Raw] = Result(id, broker=broker, returns=msgspec.Raw)
    try:
        if sys.stderr.isatty():
            return get_with_bar(result, timeout, sys.stderr)
        return result.get(timeout)
    except ResultTimeout:
        say(f"run {id!r} is {result.state} after {timeout:g} s; `taskflow result {id} --wait`")
        raise click.exceptions.Exit(TOO_LATE) from None
    except (ResultError, NoResult) as error:
        say(str(error))
        if traceback and isinstance(error, RunFailed) and error.error.traceback:
            click.echo(printable(error.error.traceback.rstrip(), lines=True), err=True)
        raise click.exceptions.Exit(FAILED) from None


def get_with_bar(result: Result[msgspec.Raw], timeout: float | None, file: TextIO) -> msgspec.Raw:
    """`Result.get`, and how far the run says it is, as a bar. Raises as that does."""
    clock = result.broker.clock
    until = None if timeout is None else clock.now() + timeout
    with click.progressbar(
        length=PARTS, label=result.state, file=file, show_eta=False, show_percent=True
    ) as bar:
        while True:
            left = LOOK if until is None else min(LOOK, max(0.0, until - clock.now()))
            try:
                found = result.get(left)
            except ResultTimeout:
                if left < LOOK:
                    raise
            else:
                bar.label = result.state
                bar.update(PARTS - bar.pos)
                return found
            step = result.progress
            bar.label = result.state
            if step is not None:
                bar.label = printable(step.note) or bar.label
                if step.total:
                    part = max(0.0, min(1.0, step.done / step.total))
                    bar.pos = round(part * PARTS)
            bar.render_progress()


def say(text: str) -> None:
    """An error on standard error, as the other commands have them."""
    click.echo(f"Error: {printable(text)}", err=True)
