"""`taskflow send`: a message of any text, straight into a queue."""

import click

from taskflow.cli.message_options import (
    attribute_option,
    deduplication_option,
    delay_option,
    read_text,
    typed_attributes,
)
from taskflow.cli.options import broker_option, check_id, opened
from taskflow.message import Message, new_id


@click.command()
@click.argument("queue")
@click.argument("body", metavar="TEXT|-|@FILE")
@delay_option
@attribute_option
@click.option("--id", "message_id", help="The message's id; a new one by default.")
@click.option("--group", help="The message group; a FIFO queue wants one.")
@deduplication_option
@broker_option
def send(
    queue: str,
    body: str,
    delay: float,
    attributes: tuple[str, ...],
    message_id: str | None,
    group: str | None,
    deduplication_id: str | None,
    address: str | None,
) -> None:
    """Send a text to QUEUE as it is, as SendMessage does, and print its id.

    It is no event: handlers want `raw=True` for it. `taskflow publish` makes events.

    \b
    Example:
      taskflow send imports '{"Records": []}' --attribute kind=big
    """
    if message_id is not None:
        check_id(message_id)
    typed = typed_attributes(attributes, "queue")
    try:
        text = read_text(body).decode()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"the text is no UTF-8: {error}") from error
    with opened(address) as broker:
        if message_id is None:
            message_id = new_id(broker.clock.now(), broker.random)
        message = Message(
            message_id,
            text,
            typed,
            delay or None,
            group,
            deduplication_id,
        )
        (sent,) = broker.send(queue, [message])
    click.echo(sent.id)
