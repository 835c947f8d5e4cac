"""`taskflow keys`: who may use the broker over HTTP, and for what."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from taskflow.brokers import DEFAULT_ADDRESS
from taskflow.cli.options import broker_option, keys_option, keys_setting, table
from taskflow.clock import SystemClock, rfc3339
from taskflow.config import setting
from taskflow.server.access_key import VERBS, Verb
from taskflow.server.keys import Keys, keys_file

HEADS = ("NAME", "ACCESS KEY ID", "VERBS", "QUEUES", "TOPICS", "CREATED")


def _glob_option(name: str, target: str) -> Callable[[Any], Any]:
    return click.option(
        f"--{name}",
        target,
        metavar="GLOB",
        multiple=True,
        help=f"A {name} it may use, as orders-*; may be repeated.",
    )


@click.group()
def keys() -> None:
    """Add, list and revoke the access keys of a broker that is served to AWS SDKs.

    They lie beside the broker file (or where --keys says: with postgresql:// there is none), in the
    clear, for its owner alone. A running server sees a
    change at its next request. As soon as the file exists, requests must be signed with its keys.

    \b
    Example:
      taskflow keys add shop --queue 'orders*' --verb send
    """


@keys.command()
@click.argument("name")
@_glob_option("queue", "queues")
@_glob_option("topic", "topics")
@click.option(
    "--verb",
    "verbs",
    type=click.Choice(VERBS),
    multiple=True,
    help="What it may do; may be repeated. Default: everything.",
)
@click.option("--shell", is_flag=True, help="Print lines for a shell to evaluate.")
@keys_option
@broker_option
def add(
    name: str,
    queues: tuple[str, ...],
    topics: tuple[str, ...],
    verbs: tuple[Verb, ...],
    shell: bool,
    keys_path: Path | None,
    address: str | None,
) -> None:
    """Make an access key called NAME. Its secret is shown this once.

    Without --queue and --topic it may use all of them; with one of the two, nothing of the other.

    \b
    Example:
      taskflow keys add shop --topic 'order*' --verb publish
      eval "$(taskflow keys add worker --queue audit --verb receive --shell)"
    """
    if not queues and not topics:
        queues = topics = ("*",)
    path = _path(keys_path, address)
    made = Keys.load(path).add(
        name, SystemClock().now(), queues=queues, topics=topics, verbs=verbs or VERBS
    )
    if shell:
        click.echo(f"export AWS_ACCESS_KEY_ID={made.access_key_id}")
        click.echo(f"export AWS_SECRET_ACCESS_KEY={made.secret}")
    else:
        click.echo(f"access key id      {made.access_key_id}")
        click.echo(f"secret access key  {made.secret}")
    click.echo(f"added {name} to {path}; the secret is not shown again", err=True)


@keys.command("list")
@keys_option
@broker_option
def list_keys(keys_path: Path | None, address: str | None) -> None:
    """Show the keys and what they may do, without their secrets.

    \b
    Example:
      taskflow keys list
    """
    lines = [
        [
            key.name,
            key.access_key_id,
            " ".join(key.verbs),
            " ".join(key.queues) or "-",
            " ".join(key.topics) or "-",
            rfc3339(key.created_at)[:19] + "Z",
        ]
        for key in Keys.load(_path(keys_path, address)).all()
    ]
    click.echo(table(HEADS, lines) if lines else "no keys; `taskflow keys add` makes one")


@keys.command()
@click.argument("key")
@keys_option
@broker_option
def revoke(key: str, keys_path: Path | None, address: str | None) -> None:
    """Take away the access key KEY, given by its name or its id.

    \b
    Example:
      taskflow keys revoke shop
    """
    gone = Keys.load(_path(keys_path, address)).revoke(key)
    click.echo(f"revoked {gone.name} ({gone.access_key_id})")


def _path(given: Path | None, address: str | None) -> Path:
    return keys_setting(given) or keys_file(address or setting("broker") or DEFAULT_ADDRESS)
