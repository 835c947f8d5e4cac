"""`taskflow publish`: one event, or many, from the command line."""

import click
import msgspec
from msgspec.structs import replace

from taskflow.broker.admin import Admin
from taskflow.cli.message_options import (
    attribute_option,
    deduplication_option,
    delay_option,
    read_text,
    typed_attributes,
)
from taskflow.cli.modules import load_registry
from taskflow.cli.options import (
    broker_option,
    check_id,
    module_option,
    opened,
    progress,
    warn_of_memory,
)
from taskflow.errors import TopicNotFound
from taskflow.limits import check_topic, is_fifo
from taskflow.message import Message
from taskflow.publisher import new_event
from taskflow.registry import default_registry
from taskflow.sealing.sealed_broker import sealed
from taskflow.topology import declare

BATCH = 500


@click.command()
@click.argument("topic")
@click.argument("payload", metavar="JSON|-|@FILE")
@delay_option
@attribute_option
@click.option("--count", type=click.IntRange(1), default=1, help="Publish it so many times.")
@click.option("--id", "event_id", help="The event's id; a new one by default.")
@click.option("--group", help="The message group; a FIFO topic wants one.")
@deduplication_option
@click.option("--create", is_flag=True, help="Create the topic if it does not exist.")
@module_option
@broker_option
def publish(
    topic: str,
    payload: str,
    delay: float,
    attributes: tuple[str, ...],
    count: int,
    event_id: str | None,
    group: str | None,
    deduplication_id: str | None,
    create: bool,
    modules: tuple[str, ...],
    address: str | None,
) -> None:
    """Publish an event to TOPIC and print its id.

    The payload is JSON: an argument, standard input (-), or a file (@order.json).

    \b
    Example:
      taskflow publish order.created '{"order_id": "ord_1"}' --delay 15m
    """
    check_topic(topic)
    if event_id is not None:
        check_id(event_id)
    if event_id is not None and count > 1:
        raise click.UsageError("--id names one event; leave it out with --count")
    if deduplication_id is not None and (count > 1 or not is_fifo(topic)):
        raise click.UsageError("--deduplication-id is for one event on a FIFO topic (NAME.fifo)")
    typed = typed_attributes(attributes, "topic")
    data = msgspec.Raw(read_text(payload))
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise click.UsageError(f"the payload is no JSON: {error}") from error
    if modules:  # they may have a codec
        load_registry(modules)
    with opened(address, create=True) as found:
        warn_of_memory(address)
        _ensure_topic(found, topic, create, modules)
        broker = sealed(found, default_registry.codec)
        most = broker.max_message_bytes
        with progress("publishing", count) as done:
            for start in range(0, count, BATCH):
                messages: list[Message] = [
                    replace(
                        new_event(broker, topic, data, id=event_id, group=group).message(
                            delay, most
                        ),
                        attributes=typed,
                    )
                    for _ in range(min(BATCH, count - start))
                ]
                if deduplication_id is not None:
                    messages = [replace(messages[0], deduplication_id=deduplication_id)]
                published = broker.publish(topic, messages)
                done(len(messages))
        first = published.sent[0].id  # of a duplicate: the one that was published before
        click.echo(first if count == 1 else f"published {count} events")
        if count == 1 and first != messages[0].id:
            click.echo("Warning: published within five minutes before; this is its id", err=True)
        if not published.subscriptions:
            click.echo(f"Warning: no queue subscribes to {topic!r}: it went nowhere", err=True)


def _ensure_topic(broker: Admin, topic: str, create: bool, modules: tuple[str, ...]) -> None:
    """An unknown topic that a handler subscribes to is declared, with its queues."""
    if topic in broker.topics():
        return
    registry = load_registry(modules)
    if topic in registry.topics():
        declare(broker, registry)
    elif create:
        broker.create_topic(topic)
    else:
        known = {*broker.topics(), *registry.topics()}
        error = TopicNotFound(topic, known)
        raise click.UsageError(
            f"{error}; name the module whose handler subscribes to it (--module shop.handlers), or "
            "make a topic that nobody subscribes to yet with --create"
        )
