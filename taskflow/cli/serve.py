"""`taskflow serve`: the broker over HTTP, for any AWS SDK."""

import logging
import os
import socket
from pathlib import Path
from typing import Any

import click

from taskflow.broker import Broker
from taskflow.brokers import DEFAULT_ADDRESS
from taskflow.cli.modules import load_registry, server_module
from taskflow.cli.options import broker_option, keys_option, keys_setting, opened
from taskflow.cli.repeating import every
from taskflow.cli.serve_many import serve_many
from taskflow.cli.service_manager import managed
from taskflow.config import setting
from taskflow.errors import ConfigError
from taskflow.topology import declare

log = logging.getLogger("taskflow.server")

LOOK_EVERY = 1.0  # seconds between two looks for the supervising process

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
@click.option(
    "--processes",
    "-p",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Processes that share the port and the broker.",
)
@click.option("--supervised", type=int, hidden=True, help="The supervising process.")
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
    processes: int,
    supervised: int | None,
    keys_path: Path | None,
    address: str | None,
) -> None:
    """Serve the broker as SQS and SNS on one port, with a page at /.

    Without keys (`taskflow keys`) it listens on this machine only and accepts any signature.
    SIGTERM answers parked polls and finishes running requests. With --processes, several share the
    port and the broker: for many cores, where the broker has room for them.

    \b
    Example:
      taskflow serve --broker sqlite:///broker.db
      aws --endpoint-url http://127.0.0.1:9324 sqs create-queue --queue-name orders
    """
    server_options = server_module("server.server_options")
    with opened(address, create=True) as broker:
        keys = keys_setting(keys_path) or server_options.find_keys(
            address or setting("broker") or DEFAULT_ADDRESS
        )
        if init is not None and init.endswith((".yaml", ".yml")):
            server_module("topology_file").declare_file(broker, Path(init))
        elif init is not None:
            declare(broker, load_registry((init,)), apply=True)
        options = server_options.ServerOptions(
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
            shared=supervised is not None,
        )
        if processes > 1 and not broker.features.shared:
            raise ConfigError("a broker in memory is of one process: --processes needs another")
        if processes == 1:
            _serve(broker, options, supervised)
            return
        reserved = _prepare(broker, options)
    with reserved:
        serve_many(options, processes, reserved.getsockname()[1], address)


def _serve(broker: Broker, options: Any, supervised: int | None) -> None:
    """One process. It ends with the one that supervises it, if there is one."""
    serving, dashboard = server_module("server.serving"), server_module("dashboard.pages")
    server = serving.WireServer(broker, options, dashboard.pages)
    if supervised is None:
        _tell(options, server.port)
        with managed(server.problems, broker.clock) as stops:
            server.on_stop = stops
            server.run()
        return

    def look() -> None:
        if os.getppid() != supervised:
            log.error("the supervising process is gone")
            server.stop()

    end = every(LOOK_EVERY, look, broker.clock.wait)
    try:
        server.run()
    finally:
        end()


def _prepare(broker: Broker, options: Any) -> socket.socket:
    """Hold the port, and make what each process would make for itself: the broker's identity."""
    server_module("server.server_options").check_options(options)
    held: socket.socket = server_module("server.listening").reserve(options.host, options.port)
    port = held.getsockname()[1]
    server_module("server.certificate").ensure_identity(
        broker, options.account, options.region, options.url_at(port), broker.clock
    )
    _tell(options, port)
    return held


def _tell(options: Any, port: int) -> None:
    where = f"account {options.account}, region {options.region}"
    click.echo(f"SQS and SNS at {options.url_at(port)} ({where})", err=True)
