"""`taskflow topology`: what subscribes to what; in the broker, and as documents for others."""

from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import click

from taskflow.cli.modules import load_registry, server_module
from taskflow.cli.options import broker_option, module_option, opened
from taskflow.config import address_of
from taskflow.errors import ConfigError
from taskflow.export import FORMATS, Place, export
from taskflow.limits import dlq_of
from taskflow.registry import Registry
from taskflow.topology import compare, declare, settings_for


@click.group(invoke_without_command=True)
@module_option
@click.pass_context
def topology(ctx: click.Context, modules: tuple[str, ...]) -> None:
    """Show what subscribes to what, as the handlers say. No broker is touched.

    \b
    Example:
      taskflow topology --module shop.handlers
    """
    ctx.obj = load_registry(modules)
    if ctx.invoked_subcommand is None:
        click.echo(tree(ctx.obj) or "no subscriptions were loaded")


@topology.command()
@module_option
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Topics, queues and subscriptions with any attribute, in YAML.",
)
@broker_option
@click.pass_obj
def apply(
    registry: Registry, modules: tuple[str, ...], file: Path | None, address: str | None
) -> None:
    """Create what is missing in the broker, and change what disagrees. Nothing is removed.

    What is wanted comes from the handlers and their schedules, and from a file as `taskflow serve
    --init` takes it: queues and topics that no handler names, attributes, access policies, filter
    policies.

    \b
    Example:
      taskflow topology apply --module shop.handlers
      taskflow topology apply --file topology.yaml
    """
    if modules:
        load_registry(modules)
    with opened(address, create=True) as broker:
        if file is not None:
            server_module("topology_file").declare_file(broker, file)
        declare(broker, registry, apply=True)
        for tender in registry.tenders:
            tender.declare(broker)
    if text := tree(registry):
        click.echo(text)
    if file is not None:
        click.echo(f"declared {file}")


@topology.command()
@module_option
@broker_option
@click.option("--check", is_flag=True, help="Exit with 1 when anything differs, for CI.")
@click.pass_context
def diff(ctx: click.Context, modules: tuple[str, ...], address: str | None, check: bool) -> None:
    """Compare the handlers with the broker: + it lacks, - it has too much, ~ differs.

    Of what the handlers do not name, only subscriptions of their queues are shown. `apply` mends
    + and ~; what is too much it leaves.

    \b
    Example:
      taskflow topology diff --module shop.handlers --check
    """
    registry = load_registry(modules) if modules else ctx.obj
    with opened(address) as broker:
        changes = compare(broker, registry)
    for change in changes:
        click.echo(str(change))
    if changes and check:
        ctx.exit(1)


@topology.command(name="export")
@module_option
@click.option(
    "--format",
    "-f",
    "format",
    type=click.Choice(list(FORMATS)),
    required=True,
    help="What to write.",
)
@click.option("--region", help="AWS region, for ARNs and Terraform's provider.")
@click.option("--account", help="AWS account (twelve digits), for ARNs.")
@click.option("--prefix", default="", help="Stands before every name on AWS.")
@click.option("--table", help="The DynamoDB table of `idempotency=`, to make and give rights to.")
@click.option("--state-table", help="The DynamoDB table of `state=`, to make and give rights to.")
@click.option(
    "--bucket",
    metavar="NAME[/KEYS]",
    help="The S3 bucket of `payloads=`, to make and give rights to.",
)
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="A file, not stdout."
)
@click.pass_obj
def export_command(
    registry: Registry,
    modules: tuple[str, ...],
    format: str,
    region: str | None,
    account: str | None,
    prefix: str,
    table: str | None,
    state_table: str | None,
    bucket: str | None,
    output: Path | None,
) -> None:
    """Write the topology for another tool. No broker is touched.

    Where the address that is set (TASKFLOW_BROKER) is one of aws://, its tables and its bucket are
    those that are not named here.

    \b
    Example:
      taskflow topology export -m shop.handlers -f terraform -o events.tf
    """
    if modules:
        load_registry(modules)
    those = _places_of(address_of())
    bucket = bucket or those.get(("payloads", "s3"))
    name, _, keys = (bucket or "").partition("/")
    place = Place(
        region,
        account,
        prefix,
        table or those.get(("idempotency", "dynamodb")),
        name if bucket else None,
        keys,
        state_table or those.get(("state", "dynamodb")),
    )
    text = export(registry, format, place)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{output} cannot be written: {error.strerror}") from error


def tree(registry: Registry) -> str:
    """Topics, their queues, the handler of each, and its retries."""
    lines = []
    for topic in registry.topics():
        lines.append(topic)
        found = sorted((one for one in registry if one.topic == topic), key=lambda one: one.queue)
        for one in found:
            last = one is found[-1]
            lines.append(f"{'└' if last else '├'}── {one.queue}  →  {one.name}")
            settings = settings_for(registry, one.queue)
            lines.append(
                f"{' ' if last else '│'}   └── {dlq_of(one.queue)}  after "
                f"{one.policy.retries} retries (crashes: {settings.max_receives} receives)"
            )
    return "\n".join(lines)


def _places_of(address: str) -> dict[tuple[str, str], str]:
    """What the options of an aws:// address name, by option and scheme."""
    parts = urlsplit(address)
    options = parse_qsl(parts.query) if parts.scheme == "aws" else []
    named = {option: text.partition("://") for option, text in options}
    return {(option, scheme): name for option, (scheme, _, name) in named.items() if name}
