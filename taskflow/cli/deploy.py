"""`taskflow deploy`: what code is out, for whoever looks at charts."""

import click

from taskflow.broker.action import DEPLOY, Action
from taskflow.cli.options import broker_option, opened
from taskflow.cli.recording import who_runs_this
from taskflow.errors import LimitExceeded

LONGEST = 100  # characters


@click.group()
def deploy() -> None:
    """Say what code is out, for whoever looks at the charts of the dashboard.

    \b
    Example:
      taskflow deploy mark 2026.11.26
    """


@deploy.command()
@click.argument("name")
@broker_option
def mark(name: str, address: str | None) -> None:
    """Mark in the charts of the dashboard that NAME, a version or a commit, is out from now on.

    Workers that have the setting `release` are marked by themselves, in the minute in which the
    first one reports another; this is for all others, and for what is not a worker.

    \b
    Example:
      taskflow deploy mark "$(git rev-parse --short HEAD)"
    """
    if not name.strip() or len(name) > LONGEST:
        raise click.UsageError(f"NAME has {len(name)} characters; 1 to {LONGEST} are allowed")
    with opened(address) as broker:
        if not broker.features.runs:
            raise LimitExceeded("this broker keeps no record of actions, and nothing is marked")
        who, host = who_runs_this()
        broker.note_action(Action(who=who, did=DEPLOY, target=name.strip(), via="cli", host=host))
    click.echo(f"marked {name.strip()}")
