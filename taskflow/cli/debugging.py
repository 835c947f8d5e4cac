"""`taskflow dlq debug`: a dead letter through its handler, here, under the debugger."""

import bdb
import inspect
import pdb
import sys
import traceback
from dataclasses import replace
from typing import Any

import click

from taskflow.broker import Broker
from taskflow.broker.message_query import MessageQuery
from taskflow.broker.record import RecordQuery
from taskflow.cli.modules import load_registry
from taskflow.cli.options import broker_option, module_option, opened
from taskflow.cli.recording import note
from taskflow.clock import SystemClock
from taskflow.entry import Entry
from taskflow.event import Context
from taskflow.message import FAILURE, Delivery
from taskflow.publisher import using
from taskflow.registry import Registry
from taskflow.testing import memory_broker
from taskflow.topology import declare
from taskflow.worker.execute import execute, find_job, identify, invoke

HOUR = 3600.0
SHOWN = 20  # messages of a sandbox


@click.command()
@click.argument("id")
@click.option("--queue", help="Its DLQ, where several hold a letter of this id.")
@click.option("--sandbox", is_flag=True, help="What it sends and records stays in this process.")
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

    \b
    Example:
      taskflow dlq debug e0 -m shop --sandbox
    """
    registry = load_registry(modules)
    with opened(address) as broker:
        letters = _where(broker, id, queue)
        real = "Only what it sends and records is kept here" if sandbox else "Its effects are real"
        if not yes:
            click.confirm(f"Run the handler of {id} here? {real}.", abort=True)
        lent = broker.lend(letters, id, hold)
        try:
            note(broker, "debug", queue=letters, target=id)
            ran = _run(_as_before(lent), broker, registry, sandbox)
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


def _run(delivery: Delivery, broker: Broker, registry: Registry, sandbox: bool) -> str:
    """How it ended, in words."""
    job = find_job(delivery, registry)
    identify([job], broker, registry)
    if job.found is not None and job.found.decided is not None:
        raise click.UsageError(
            f"the run of {delivery.id!r} is over, and is not run again; call its task anew"
        )
    here: Any = broker
    if sandbox:
        here = memory_broker(clock=SystemClock())
        declare(here, registry, apply=True)
    with using(here):
        outcome = execute(
            job, clock=broker.clock, random=broker.random, invoke=_under_debugger, broker=here
        )
    if sandbox:
        _list_sent(here)
        here.close()
    if outcome.error is None:
        return f"{job.handler} ended well"
    return f"{job.handler} raised {type(outcome.error).__name__}"


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


def _list_sent(sandbox: Broker) -> None:
    """What a sandbox holds."""
    found = sandbox.find(MessageQuery(order="oldest", limit=SHOWN)).messages
    for one in found:
        delivery = one.delivery
        click.echo(f"it sent {delivery.id} to {delivery.queue} ({delivery.topic or 'directly'})")
    kept = sandbox.list_records(RecordQuery(kind="run", limit=SHOWN)).records
    if not found and not kept:
        click.echo("it sent nothing")
