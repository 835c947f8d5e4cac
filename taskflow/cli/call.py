"""`taskflow call`: a task, from the command line."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

import click

from taskflow.broker import Broker
from taskflow.cli.awaiting import await_run, check_timeout, wait_options
from taskflow.cli.call_arguments import check_types, read_named, read_words
from taskflow.cli.modules import load_registry
from taskflow.cli.moments import read_moment
from taskflow.cli.options import (
    broker_option,
    check_id,
    check_text,
    module_option,
    opened,
    warn_of_memory,
)
from taskflow.cli.parameter_types import Seconds
from taskflow.errors import QueueNotFound
from taskflow.message import PRIORITIES
from taskflow.publisher import using
from taskflow.registry import Registry
from taskflow.tasks.decorator import task_engine
from taskflow.tasks.known_tasks import find_calling
from taskflow.tasks.named_call import send_task
from taskflow.tasks.result import Result
from taskflow.topology import declare

T = TypeVar("T")
KEPT_AFTER_WAIT = 3600.0  # seconds that a result is kept which only --wait asked for


def _with_waiting(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(wait_options):
        command = option(command)
    return command


@click.command()
@click.argument("task")
@click.argument("args", nargs=-1)
@click.option("--kwargs", "named", metavar="JSON", help="Arguments by name: a JSON object.")
@click.option("--queue", help="One of its queues; by default its first.")
@click.option("--delay", type=Seconds(), help="Due so much later: 90, 15m, 2h, 30d.")
@click.option("--at", metavar="TIME", help="Due then: 2026-01-31T12:00:00Z, or epoch seconds.")
@click.option("--expires", type=Seconds(), help="It does not start later than that from now.")
@click.option("--priority", type=click.Choice(PRIORITIES), help="Of what is due, high comes first.")
@click.option("--key", help="While a run with this key waits or runs, there is no other.")
@click.option("--id", "run_id", help="The run's id; a new one by default.")
@click.option("--result", "keep", type=Seconds(), help="Keep its result so long: 15m, 2h, 1d.")
@_with_waiting
@click.option("--verbose", "-v", is_flag=True, help="With --wait: the traceback of a failure.")
@module_option
@broker_option
def call(
    task: str,
    args: tuple[str, ...],
    named: str | None,
    wait: bool,
    timeout: float | None,
    verbose: bool,
    modules: tuple[str, ...],
    address: str | None,
    **given: Any,
) -> None:
    """Call TASK through its queue and print the id of the call.

    Each of ARGS is JSON, or text where it is no JSON or the task takes text there (an order 2026).
    Put -- before what begins with a dash. Without the module that defines the task (--module) it
    is called by its name alone: nobody checks the arguments, and its queue is --queue, or that of
    tasks which name none.

    With --wait the id goes to standard error, and the result to standard output, as JSON. Exit
    codes: 1 when it failed, 124 when it has not ended within --timeout.

    \b
    Example:
      taskflow call shop.mails.send ord_1 --module shop.mails
      taskflow call shop.reports.make 2026 --wait --timeout 5m -m shop.reports
    """
    check_timeout(wait, timeout)
    by_name = read_named(named)
    options = _read_options(given)
    registry = load_registry(modules)
    calling = _usage(lambda: find_calling(registry, check_text(task, "task"), options))
    entry = task_engine(registry).tasks.find_task(task)
    values = read_words(args, None if entry is None else entry.parameters)
    if entry is not None:
        check_types(task, entry.parameters, values, by_name)
    if wait and "result" not in options and (calling is None or not calling.keeps):
        options["result"] = KEPT_AFTER_WAIT + (timeout or 0.0)
        calling = _usage(lambda: find_calling(registry, task, options))
    with opened(address, create=calling is not None) as broker, using(broker):
        if not wait:
            warn_of_memory(address)
        if calling is None:
            _warn_of_name(task, task_engine(registry).tasks.names())
        made = _submit(
            lambda: (
                send_task(task, values, by_name, **options)
                if calling is None
                else calling.delay(*values, **by_name)
            ),
            broker,
            None if calling is None else registry,
        )
        if not made.created:
            click.echo("Warning: there was one already; this is its id", err=True)
        click.echo(made.id, err=wait)
        if wait:
            value = await_run(broker, made.id, timeout, traceback=verbose)
            click.echo(bytes(value or b"null"))


def _submit(
    call: Callable[[], Result[Any]], broker: Broker, registry: Registry | None
) -> Result[Any]:
    """Make the call; the queue of a task that is known is declared if need be."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        try:
            made = _usage(call)
        except QueueNotFound:
            if registry is None:
                raise
            declare(broker, registry)
            made = _usage(call)
    for one in said:
        click.echo(f"Warning: {one.message}", err=True)
    return made


def _usage(make: Callable[[], T]) -> T:
    """What `make` answers; a value that cannot be is bad input."""
    try:
        return make()
    except (TypeError, ValueError) as error:
        raise click.UsageError(str(error)) from error


def _read_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the call as `Task.options` has them."""
    found = {
        name: given[name]
        for name in ("queue", "delay", "expires", "priority", "key")
        if given[name] is not None
    }
    if (at := given["at"]) is not None:
        found["at"] = read_moment("--at", at)
    if (id := given["run_id"]) is not None:
        found["id"] = check_id(id)
    if (keep := given["keep"]) is not None:
        found["result"] = keep
    return found


def _warn_of_name(task: str, known: Sequence[str]) -> None:
    near = get_close_matches(task, known, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else "; --module names where it is defined"
    click.echo(
        f"Warning: no module here defines task {task!r}{hint}: its arguments were not checked",
        err=True,
    )
