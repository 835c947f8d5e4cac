"""`taskflow workflow signal`, `cancel`, `retry` and `fork`: a run is told what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
import msgspec

from taskflow.broker import Broker
from taskflow.cli.awaiting import FAILED, say
from taskflow.cli.modules import load_registry
from taskflow.cli.options import broker_option, check_id, check_text, module_option, opened
from taskflow.cli.recording import note
from taskflow.errors import NoResult
from taskflow.tasks.cancelling import cancel
from taskflow.tasks.run import FINAL, Row
from taskflow.text import printable
from taskflow.workflows.retrying import retry_run
from taskflow.workflows.run_forking import fork_run
from taskflow.workflows.run_lookup import find_run
from taskflow.workflows.signals import check_name, send_signal


@click.command()
@click.argument("run_id", metavar="ID")
@click.argument("name")
@click.argument("payload", metavar="[JSON]", required=False)
@click.option("--id", "signal_id", help="The same id again is the same signal.")
@module_option
@broker_option
def signal(
    run_id: str,
    name: str,
    payload: str | None,
    signal_id: str | None,
    modules: tuple[str, ...],
    address: str | None,
) -> None:
    """Tell the run ID something by NAME, with JSON: it takes it now, or when it waits for it.

    --module names a module that sets a codec, which is to seal it.

    Exit code 1 when there is no such run, or it has ended.

    \b
    Example:
      taskflow workflow signal order-7 picked.up '{"by": "dpd"}'
    """
    try:
        check_name(check_text(name, "name of the signal"))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    value = _read_json(payload)
    id = None if signal_id is None else check_id(signal_id)
    if modules:
        load_registry(modules)
    with opened(address) as broker, _one_that_is_there():
        row = find_run(broker, run_id)
        if not send_signal(broker, run_id, name, value, id=id):
            raise _ended(find_run(broker, row.id), "takes no signals")
        note(broker, "signal", target=f"{run_id} {name}")
    click.echo(f"told {printable(run_id)}")


@click.command("cancel")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@broker_option
def cancel_workflow(ids: tuple[str, ...], address: str | None) -> None:
    """Cancel runs, with all runs that they have called: what waits ends at once, what runs soon.

    `on_cancel` of the workflow is called. Exit code 1 when one is not there; the others are
    cancelled all the same.

    \b
    Example:
      taskflow workflow cancel order-7
    """
    missing = False
    with opened(address) as broker:
        for id in dict.fromkeys(ids):
            try:
                click.echo(f"{_cancel(broker, id)} {printable(id)}")
                note(broker, "cancel", target=id)
            except NoResult as error:
                say(str(error))
                missing = True
    if missing:
        raise click.exceptions.Exit(FAILED)


@click.command()
@click.argument("run_id", metavar="ID")
@broker_option
def retry(run_id: str, address: str | None) -> None:
    """Let the failed run ID go on: steps and child runs that failed are run again.

    What was done stays done. Exit code 1 when there is no such run, 2 when it has not failed.

    \b
    Example:
      taskflow workflow retry order-7
    """
    with opened(address) as broker, _one_that_is_there():
        retry_run(broker, run_id)
        note(broker, "retry", target=run_id)
    click.echo(f"goes on: {printable(run_id)}")


@click.command()
@click.argument("run_id", metavar="ID")
@click.option("--from", "step", metavar="STEP", help="From before this step. Default: the end.")
@click.option("--id", "new_id", help="The id of the new run; a new one by default.")
@broker_option
def fork(run_id: str, step: str | None, new_id: str | None, address: str | None) -> None:
    """Begin a new run like the run ID, from before one of its steps, and print its id.

    It has the same arguments, and what was kept before that step; the old one stays as it is.
    `taskflow workflow show ID` lists the steps. Exit code 1 when there is no such run.

    \b
    Example:
      taskflow workflow fork order-7 --from pay
    """
    id = None if new_id is None else check_id(new_id)
    with opened(address) as broker, _one_that_is_there():
        made = fork_run(broker, run_id, step, id=id)
        note(broker, "fork", target=run_id)
    click.echo(made)


def _cancel(broker: Broker, id: str) -> str:
    """What became of it, in a word or two. Raises NoResult, WorkflowError."""
    row = find_run(broker, id)
    if not cancel(broker, id):
        return "has ended before:"
    return "told to stop:" if row.state == "running" else "cancelled"


@contextmanager
def _one_that_is_there() -> Iterator[None]:
    """A run that is not there ends the command with an exit code of its own."""
    try:
        yield
    except NoResult as error:
        say(str(error))
        raise click.exceptions.Exit(FAILED) from None


def _ended(row: Row, what: str) -> click.exceptions.Exit:
    state = f"has ended ({row.state})" if row.state in FINAL else f"is {row.state}"
    say(f"run {row.id!r} {state}, and {what}")
    return click.exceptions.Exit(FAILED)


def _read_json(text: str | None) -> msgspec.Raw | None:
    if text is None:
        return None
    try:
        msgspec.json.decode(check_text(text, "payload"))
    except (msgspec.DecodeError, RecursionError) as error:
        raise click.UsageError(
            f"the payload is no JSON: {error}; text is written with quotes: '\"dpd\"'"
        ) from error
    return msgspec.Raw(text.strip())
