"""`taskflow purge`: empty a queue."""

import click

from taskflow.cli.options import broker_option, in_chunks, opened
from taskflow.cli.recording import note


@click.command()
@click.argument("queue")
@click.option("--id", "ids", multiple=True, help="Only this message; may be repeated.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@broker_option
def purge(queue: str, ids: tuple[str, ...], yes: bool, address: str | None) -> None:
    """Delete all messages of QUEUE for good: visible, delayed and in flight.

    What a worker has in hand is finished there all the same. Dead letters: `taskflow dlq purge`.

    \b
    Example:
      taskflow purge audit --yes
    """
    with opened(address) as broker:
        counts = broker.counts(queue)
        held = len(set(ids)) or counts.visible + counts.in_flight + counts.delayed
        if not yes:
            click.confirm(f"Delete {held} messages of {queue} for good?", abort=True)
        if ids:
            gone = broker.purge(queue, ids)
        else:
            gone = in_chunks(lambda most: broker.purge(queue, (), most), held, "deleting")
            broker.purged(queue)
        note(broker, "delete", queue=queue, target=ids, count=gone)
    click.echo(f"deleted {gone} messages of {queue}")
