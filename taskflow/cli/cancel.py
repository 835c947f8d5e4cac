"""`taskflow cancel`: end runs before their time."""

import click

from taskflow.broker import Broker
from taskflow.cli.awaiting import FAILED, say
from taskflow.cli.options import broker_option, opened
from taskflow.cli.recording import note
from taskflow.tasks.cancelling import cancel as cancel_call
from taskflow.tasks.run import load
from taskflow.tasks.task_body import is_task_body
from taskflow.text import printable


@click.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@broker_option
def cancel(ids: tuple[str, ...], address: str | None) -> None:
    """Cancel the calls with these IDs: what waits ends at once, what runs is told to stop.

    Exit code 1 when one is not there; the others are cancelled all the same.

    \b
    Example:
      taskflow cancel 01a3185c-5000-7c20-a29f-6fbed82c07cd
    """
    missing = False
    with opened(address) as broker:
        for id in dict.fromkeys(ids):
            said = _cancel(broker, id)
            if said is None:
                missing = True
                say(f"no run {id!r}, or not any more, and no queue holds such a call")
            else:
                note(broker, "cancel", target=id)
                click.echo(f"{said} {printable(id)}")
    if missing:
        raise click.exceptions.Exit(FAILED)


def _cancel(broker: Broker, id: str) -> str | None:
    """What became of it, in a word or two; None when there is no such call."""
    row = load(broker, [id]).get(id)
    if row is None and not _waits(broker, id):
        return None
    if not cancel_call(broker, id, without_run=row is None):
        return "has ended before:"
    return "told to stop:" if row is not None and row.state == "running" else "cancelled"


def _waits(broker: Broker, id: str) -> bool:
    """Whether a queue holds a call of this id that has no run."""
    found = (one for queue in broker.queues() for one in broker.peek(queue, 1, [id]))
    return any(is_task_body(one.body) for one in found)
