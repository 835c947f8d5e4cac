"""`taskflow publish`: one event, or many, from the command line."""

import sys
from pathlib import Path

import click
import msgspec

from taskflow.broker import Broker
from taskflow.cli.options import (
    Seconds,
    broker_option,
    load_registry,
    module_option,
    opened,
    progress,
)
from taskflow.errors import TopicNotFound
from taskflow.limits import check_topic
from taskflow.message import Message
from taskflow.publisher import new_event
from taskflow.topology import declare

BATCH = 500


@click.command()
@click.argument("topic")
@click.argument("payload", metavar="JSON|-|@FILE")
@click.option("--delay", type=Seconds(), default=0.0, help="Due so much later: 90, 15m, 2h.")
@click.option("--count", type=click.IntRange(1), default=1, help="Publish it so many times.")
@click.option("--id", "event_id", help="The event's id; a new one by default.")
@click.option("--group", help="The message group; a FIFO topic wants one.")
@click.option("--create", is_flag=True, help="Create the topic if it does not exist.")
@module_option
@broker_option
def publish(
    topic: str,
    payload: str,
    delay: float,
    count: int,
    event_id: str | None,
    group: str | None,
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
    if event_id == "":
        raise click.UsageError("--id is empty; 1 character at least")
    if event_id is not None and count > 1:
        raise click.UsageError("--id names one event; leave it out with --count")
    data = msgspec.Raw(_read(payload))
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise click.UsageError(f"the payload is no JSON: {error}") from error
    with opened(address, create=True) as broker:
        _ensure_topic(broker, topic, create, modules)
        with progress("publishing", count) as done:
            for start in range(0, count, BATCH):
                messages: list[Message] = [
                    new_event(broker, topic, data, id=event_id, group=group).message(delay)
                    for _ in range(min(BATCH, count - start))
                ]
                reached = broker.publish(topic, messages).subscriptions
                done(len(messages))
        click.echo(messages[0].id if count == 1 else f"published {count} events")
        if not reached:
            click.echo(f"Warning: no queue subscribes to {topic!r}: it went nowhere", err=True)


def _read(payload: str) -> bytes:
    if payload == "-":
        return sys.stdin.buffer.read()
    if payload.startswith("@"):
        try:
            return Path(payload[1:]).read_bytes()
        except OSError as error:
            raise click.UsageError(f"{payload[1:]}: {error.strerror}") from error
    return payload.encode(errors="surrogateescape")


def _ensure_topic(broker: Broker, topic: str, create: bool, modules: tuple[str, ...]) -> None:
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
        raise click.UsageError(f"{error}; --create makes a new one")
