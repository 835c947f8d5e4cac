"""`taskflow dashboard`: the pages for operators, alone."""

from pathlib import Path

import click

from taskflow.brokers import DEFAULT_ADDRESS
from taskflow.cli.modules import server_module
from taskflow.cli.options import broker_option, keys_option, keys_setting, opened
from taskflow.config import address_of, setting
from taskflow.text import without_secrets


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=9325, show_default=True, help="0: any."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Others need access keys.")
@click.option("--prefix", default="", metavar="/PATH", help="Below which the pages lie.")
@click.option("--hide", "hidden", multiple=True, metavar="NAME", help="Never show this field.")
@click.option("--name", default="", help="What this installation is called: production.")
@keys_option
@broker_option
def dashboard(
    port: int,
    host: str,
    prefix: str,
    hidden: tuple[str, ...],
    name: str,
    keys_path: Path | None,
    address: str | None,
) -> None:
    """Serve the dashboard: what is wrong first, then queues, dead letters, runs, workers.

    Without keys (`taskflow keys`) it listens on this machine only, and who sits there may do all.
    Fields such as card, token and password are hidden; --hide adds others.

    \b
    Example:
      taskflow dashboard --broker sqlite:///broker.db --hide email
    """
    serving = server_module("dashboard.dashboard_server")
    keys = keys_setting(keys_path) or server_module("server.server_options").find_keys(
        address or setting("broker") or DEFAULT_ADDRESS
    )
    with opened(address) as broker:
        server = serving.DashboardServer(
            broker,
            host,
            port,
            keys,
            prefix=prefix.rstrip("/"),
            hidden=hidden,
            name=name,
            address=without_secrets(address_of(address)),
        )
        click.echo(f"Dashboard at {server.url}", err=True)
        server.run()
