"""`taskflow serve`: the broker over HTTP, for any AWS SDK."""

from pathlib import Path

import click

from taskflow.brokers import DEFAULT_ADDRESS
from taskflow.cli.options import (
    broker_option,
    keys_option,
    keys_setting,
    load_registry,
    opened,
    server_module,
)
from taskflow.config import setting
from taskflow.topology import declare

_EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=9324, show_default=True, help="0: any."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Others need access keys.")
@click.option("--account", default="000000000000", show_default=True, help="Twelve digits.")
@click.option("--region", default="us-east-1", show_default=True, help="Its names have no prefix.")
@click.option("--url", help="What clients are told to use; default: the host they used.")
@click.option("--init", "init", metavar="FILE.yaml|MODULE", help="Declare this at the start.")
@click.option("--certificate", type=_EXISTING, help="TLS: certificate chain in PEM.")
@click.option("--certificate-key", type=_EXISTING, help="TLS: its private key in PEM.")
@click.option("--allow-reset", is_flag=True, help="POST /_taskflow/reset empties everything.")
@click.option(
    "--local-targets",
    is_flag=True,
    help="With keys: subscriptions may name URLs of this machine.",
)
@keys_option
@broker_option
def serve(
    port: int,
    host: str,
    account: str,
    region: str,
    url: str | None,
    init: str | None,
    certificate: Path | None,
    certificate_key: Path | None,
    allow_reset: bool,
    local_targets: bool,
    keys_path: Path | None,
    address: str | None,
) -> None:
    """Serve the broker as SQS and SNS on one port, with a page at /.

    Without keys (`taskflow keys`) it listens on this machine only and accepts any signature.
    SIGTERM answers parked polls and finishes running requests.

    \b
    Example:
      taskflow serve --broker sqlite:///broker.db
      aws --endpoint-url http://127.0.0.1:9324 sqs create-queue --queue-name orders
    """
    serving, dashboard = server_module("server.serving"), server_module("dashboard.pages")
    with opened(address, create=True) as broker:
        keys = keys_setting(keys_path) or serving.find_keys(
            address or setting("broker") or DEFAULT_ADDRESS
        )
        if init is not None and init.endswith((".yaml", ".yml")):
            server_module("topology_file").declare_file(broker, Path(init))
        elif init is not None:
            declare(broker, load_registry((init,)), apply=True)
        options = serving.ServerOptions(
            host=host,
            port=port,
            account=account,
            region=region,
            url=url,
            keys=keys,
            certificate=certificate,
            certificate_key=certificate_key,
            allow_reset=allow_reset,
            local_targets=local_targets,
        )
        server = serving.WireServer(broker, options, dashboard.pages)
        click.echo(f"SQS and SNS at {server.url} (account {account}, region {region})", err=True)
        server.run()
