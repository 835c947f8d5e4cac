"""`taskflow backup`: a copy of a broker's file, made while it is in use."""

import json
from pathlib import Path

import click

from taskflow.broker.backup import Backup
from taskflow.cli.options import broker_option, opened
from taskflow.config import address_of
from taskflow.errors import ConfigError


@click.command()
@click.argument("to", metavar="TO", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@broker_option
def backup(to: Path, as_json: bool, address: str | None) -> None:
    """Copy all that a broker's file holds at one moment into the new file TO, while it is in use.

    Of several files each gets a copy: TO, TO.shard1 and so on, all of one moment. Nobody waits for
    it. Each event is in the copy once: it waits there, or it is finished. Access keys of `taskflow
    serve` lie in a file of their own, and are not copied. A restored copy goes on where it was
    made: what was finished since then is handled again, what was sent is not there. How to restore,
    and what to do over PostgreSQL: docs/guides/moving-brokers.md.

    \b
    Example:
      taskflow backup /backups/broker-monday.db
    """
    scheme = address_of(address).partition(":")[0]
    if scheme in ("postgresql", "postgres"):
        raise ConfigError(
            "a broker in PostgreSQL is backed up by the server's own tools: pg_dump with "
            "--schema=taskflow (the broker's schema), or base backups with an archive of the WAL"
        )
    with opened(address) as broker:
        if not isinstance(broker, Backup):
            raise ConfigError(f"a broker at {scheme}:// has no file to back up")
        broker.back_up(to)
    size = sum(one.stat().st_size for one in (to, *to.parent.glob(f"{to.name}.shard*[0-9]")))
    if as_json:
        click.echo(json.dumps({"file": str(to), "bytes": size}))
    else:
        click.echo(f"copied to {to} ({size} bytes)")
