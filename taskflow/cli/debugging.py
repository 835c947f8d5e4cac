"""`taskflow dlq debug`: a dead letter through its handler, here, under the debugger."""

import bdb
import inspect
import pdb
import sys
import traceback
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import click
import msgspec

from taskflow.broker import Broker
from taskflow.broker.message_query import MessageQuery
from taskflow.cli.modules import load_registry
from taskflow.cli.options import broker_option, module_option, opened
from taskflow.cli.recording import note
from taskflow.cli.sandbox import Sandbox
from taskflow.entry import Entry
from taskflow.event import Context
from taskflow.message import FAILURE, Delivery
from taskflow.publisher import using
from taskflow.registry import Registry
from taskflow.retry import Done, Outcome
from taskflow.sealing.sealed_broker import sealed
from taskflow.tasks.run import FINAL, load
from taskflow.worker.execute import execute, find_job, identify, invoke
from taskflow.worker.job import Job
from taskflow.workflows.step_not_run import StepNotRun

HOUR = 3600.0


@click.command()
@click.argument("id")
@click.option("--queue", help="Its DLQ, where several hold a letter of this id.")
@click.option("--sandbox", is_flag=True, help="What it sends and records stays in this process.")
@click.option(
    "--answer",
    "answers",
    multiple=True,
    metavar="STEP=JSON",
    help="In a sandbox: what a step of the workflow answers, since it is not run.",
)
@click.option(
    "--hold", type=click.FloatRange(1), default=HOUR, help="Seconds for which it is lent: an hour."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@module_option
@broker_option
def debug(
    id: str,
    queue: str | None,
    sandbox: bool,
    answers: tuple[str, ...],
    hold: float,
    yes: bool,
    modules: tuple[str, ...],
    address: str | None,
) -> None:
    """Run the handler of the dead letter ID here, under pdb; the letter stays what it is.

    Nobody else gets the letter meanwhile, and no outcome is settled. What the handler does is real:
    it asks first. With --sandbox what it publishes, sends and records goes to a broker in memory
    and is listed after; whatever else it does (databases, HTTP) is real all the same. It stops at
    the first line of the handler, and where it raises.

    A run that has failed (of a task with a result, of a workflow) is over: only a copy of it is run
    again, with --sandbox. Steps of a workflow that are kept answer what they did; others are not
    run: the workflow ends there, unless --answer says what a step answers.

    \b
    Example:
      taskflow dlq debug e0 -m shop --sandbox
      taskflow dlq debug order-7 -m shop --sandbox --answer pay='{"receipt": 1}'
    """
    given = dict(map(_answer, answers))
    if given and not sandbox:
        raise click.UsageError("--answer is of a --sandbox: elsewhere steps are run")
    registry = load_registry(modules)
    with opened(address) as within:
        broker = sealed(within, registry.codec)
        letters = _where(broker, id, queue)
        real = "Only what it sends and records is kept here" if sandbox else "Its effects are real"
        if not yes:
            click.confirm(f"Run the handler of {id} here? {real}.", abort=True)
        lent = broker.lend(letters, id, hold)
        try:
            note(broker, "debug", queue=letters, target=id)
            delivery = _as_before(lent)
            if sandbox:
                ran = _run_apart(delivery, broker, registry, given)
            else:
                ran = _run(delivery, broker, registry)
        finally:
            broker.change_visibility([(lent, 0)])
    click.echo(f"{ran}; the letter {id} is in {letters} as before")


def _where(broker: Broker, id: str, queue: str | None) -> str:
    """The DLQ that holds it. Raises UsageError."""
    query = MessageQuery(ids=[id], states=["dead"], queues=[] if queue is None else [queue])
    found = sorted({one.delivery.queue for one in broker.find(query).messages})
    if not found:
        raise click.UsageError(f"no dead letter {id!r}" + (f" in {queue}" if queue else ""))
    if len(found) > 1:
        raise click.UsageError(f"{', '.join(found)} have a letter {id!r} each; say --queue")
    return found[0]


def _as_before(lent: Delivery) -> Delivery:
    """As its handler got it first."""
    attributes = {name: value for name, value in lent.attributes.items() if name != FAILURE}
    return replace(lent, queue=lent.source or lent.queue, attributes=attributes, receive_count=1)


def _answer(given: str) -> tuple[str, msgspec.Raw]:
    step, _, text = given.partition("=")
    try:
        return step, msgspec.Raw(msgspec.json.encode(msgspec.json.decode(text)))
    except (msgspec.DecodeError, RecursionError) as error:
        raise click.UsageError(f"--answer {given!r}: write STEP=JSON ({error})") from None


def _run(delivery: Delivery, broker: Broker, registry: Registry) -> str:
    """How it ended, in words."""
    row = None if delivery.run is None else load(broker, [delivery.run]).get(delivery.run)
    if row is not None and row.state in FINAL:
        raise click.UsageError(
            f"run {row.id!r} is over ({row.state}), and is not run again: --sandbox runs a copy"
        )
    job = find_job(delivery, registry)
    identify([job], broker, registry)
    with using(broker):
        return _ended(job, _execute(job, broker))


def _run_apart(
    delivery: Delivery, broker: Broker, registry: Registry, answers: Mapping[str, msgspec.Raw]
) -> str:
    """The same in a sandbox."""
    sandbox = Sandbox(broker, registry, answers)
    job = sandbox.job(delivery)
    with using(sandbox.broker):
        outcome = _execute(job, sandbox.broker)
    sandbox.list_sent(job, isinstance(outcome, Done))
    sandbox.broker.close()
    return _ended(job, outcome)


def _execute(job: Job, broker: Broker) -> Outcome:
    if job.found is not None and job.found.decided is not None:
        raise click.UsageError(
            f"{job.delivery.id!r} is not wanted any more ({job.found.decided}), and is not run"
        )
    return execute(
        job, clock=broker.clock, random=broker.random, invoke=_under_debugger, broker=broker
    )


def _ended(job: Job, outcome: Outcome) -> str:
    error = outcome.error
    if isinstance(error, StepNotRun):
        return (
            f"{job.handler} came to step {error.step!r}, which is not run here (--answer "
            f"{error.step}=JSON says what it answers)"
        )
    if error is not None:
        return f"{job.handler} raised {type(error).__name__}"
    waits = isinstance(outcome, Done) and outcome.skipped == "suspended"
    return f"{job.handler} {'waits' if waits else 'ended well'}"


def _under_debugger(entry: Entry, context: Context) -> Any:
    """Call the handler; stop at its first line, and where it raises."""
    typed = sys.stdin.isatty()  # else its commands come from a file or a pipe
    debugger = pdb.Pdb() if typed else pdb.Pdb(stdin=sys.stdin, stdout=sys.stdout)
    debugger.reset()
    code = inspect.unwrap(entry.handler).__code__
    first = min(
        (line for *_, line in code.co_lines() if line and line > code.co_firstlineno),
        default=code.co_firstlineno,
    )
    debugger.set_break(code.co_filename, first, temporary=True)
    debugger.botframe = sys._getframe()  # what it stops at lies above
    debugger.set_continue()
    before = sys.gettrace()
    sys.settrace(debugger.trace_dispatch)
    try:
        return invoke(entry, context)
    except bdb.BdbQuit:
        raise
    except Exception as error:
        sys.settrace(before)
        click.echo("".join(traceback.format_exception(error)), err=True)
        debugger.reset()
        debugger.interaction(None, error.__traceback__)
        raise
    finally:
        sys.settrace(before)
