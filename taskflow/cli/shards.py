"""`taskflow shards`: how many files a broker has, and another number of them."""

import json
from typing import cast

import click

from taskflow.broker import Broker
from taskflow.brokers import open_address
from taskflow.brokers.sharded.broker import ShardedBroker
from taskflow.brokers.sharded.files import path_of
from taskflow.brokers.sharded.reshard import Progress
from taskflow.brokers.sharded.shard_map import MOST_SHARDS, owners_of
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.cli.options import broker_option, progress, table
from taskflow.config import address_of, open_broker, shown_address
from taskflow.errors import BrokerUnavailable, ConfigError
from taskflow.placing import PLACES
from taskflow.stores.sqlite.rows import SqliteRows
from taskflow.version import VERSION

REPORTED_WITHIN = 30.0


@click.command()
@click.argument("number", required=False, type=click.IntRange(1, MOST_SHARDS))
@click.option(
    "--force",
    is_flag=True,
    help="Also while workers of another release report, or with tables of yours in the file.",
)
@click.option(
    "--take-older",
    is_flag=True,
    help="Go on with a file that is an older copy than the others: what it lacks is lost, and what "
    "was handled since comes again.",
)
@click.option("--json", "as_json", is_flag=True, help="A JSON list of objects.")
@broker_option
def shards(
    number: int | None, force: bool, take_older: bool, as_json: bool, address: str | None
) -> None:
    """Show over how many files a broker lies, or change that to NUMBER.

    Files are added or removed while the broker is in use, each event being in one of them at any
    moment, and keep their ids. What is in flight is settled where it has gone. Repeat it when it
    was interrupted. A broker of one plain file must not be open elsewhere the first time. Order,
    priorities and fairness hold within each file: docs/guides/scaling.md.

    \b
    Example:
      taskflow shards
      taskflow shards 8
    """
    scheme = address_of(address).partition(":")[0]
    if scheme != "sqlite":
        raise ConfigError(f"a broker at {scheme}:// has no files; those at sqlite:/// have")
    if take_older:
        open_address(address_of(address), create=False, older=True).close()
    broker = open_broker(address, create=False)
    try:
        if number is not None:
            if not force:
                _refuse_others(broker)
            if isinstance(broker, StoredBroker) and number > 1:
                if not force:
                    _refuse_tables(broker)
                broker.close()
                broker = open_address(address_of(address), create=False, lead=True)
            if isinstance(broker, ShardedBroker):
                _change(broker, number)
        _show(broker, as_json, address)
    finally:
        broker.close()


def _refuse_others(broker: Broker) -> None:
    """Those of an older release know of no other number than that which they found."""
    others = [one for one in broker.workers(REPORTED_WITHIN) if one.version != VERSION]
    if others:
        raise BrokerUnavailable(
            f"{len(others)} workers of another release are at work, and this is "
            f"{VERSION}: stop them first, or say --force if they are gone"
        )


def _refuse_tables(broker: StoredBroker) -> None:
    """Steps that change them would fail over several files."""
    tables = broker.store.look(lambda rows: cast(SqliteRows, rows).own_tables())
    if tables:
        raise ConfigError(
            f"{', '.join(tables)} in this file are no tables of taskflow: ctx.transaction, which "
            "changes such tables, is refused over several files. Have them in a database of your "
            "own (ctx.transaction_on), or say --force if no workflow uses them"
        )


def _change(broker: ShardedBroker, number: int) -> None:
    done = broker.resharding.progress(number).done
    with progress("places", PLACES - done) as advance:

        def tell(now: Progress) -> None:
            nonlocal done
            advance(now.done - done)
            done = now.done

        broker.resharding.run(number, tell)


def _show(broker: Broker, as_json: bool, address: str | None) -> None:
    if isinstance(broker, ShardedBroker):
        course = broker.course
        owners = owners_of(course.map)
        files = [
            {"file": str(path_of(course.leader, number)), "places": owners.count(number)}
            for number in range(course.map.shards)
        ]
    else:
        files = [{"file": shown_address(address).removeprefix("sqlite:///"), "places": PLACES}]
    if as_json:
        click.echo(json.dumps(files))
    else:
        click.echo(table(("FILE", "PLACES"), [list(one.values()) for one in files]))
