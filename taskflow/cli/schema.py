"""`taskflow schema`: payload types as JSON schemas, compared with a release and with what waits."""

from pathlib import Path

import click
import msgspec

from taskflow.cli.modules import load_registry
from taskflow.cli.options import broker_option, module_option, opened
from taskflow.errors import ConfigError
from taskflow.schemas.comparing import compare_schemas
from taskflow.schemas.difference import Difference
from taskflow.schemas.payload_schema import schemas_of
from taskflow.schemas.released import read_released, write_released
from taskflow.schemas.waiting_messages import Waiting, read_waiting
from taskflow.text import printable

LIMIT = 1000


@click.group()
def schema() -> None:
    """Payload types of handlers and tasks: write them down, and see what a change breaks.

    \b
    Example:
      taskflow schema export --module shop.handlers > schemas.json
      taskflow schema diff schemas.json --module shop.handlers
    """


@schema.command()
@module_option
def export(modules: tuple[str, ...]) -> None:
    """Print the payload types as JSON, to be kept with a release. No broker is touched.

    \b
    Example:
      taskflow schema export --module shop.handlers > schemas.json
    """
    schemas = schemas_of(load_registry(modules))
    if not schemas:
        raise ConfigError("no handlers were loaded: name their modules by --module")
    click.echo(write_released(schemas), nl=False)


@schema.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@module_option
@click.option("--waiting", is_flag=True, help="With FILE: read what waits, too.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000_000),
    default=LIMIT,
    help=f"Messages of each queue that are read, the oldest. Default: {LIMIT}.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 for what is `careful`, too.")
@click.option("--json", "as_json", is_flag=True, help="A JSON list of objects.")
@broker_option
@click.pass_context
def diff(
    ctx: click.Context,
    file: Path | None,
    modules: tuple[str, ...],
    waiting: bool,
    limit: int,
    strict: bool,
    as_json: bool,
    address: str | None,
) -> None:
    """Compare the payload types that are here with those in FILE, of a release; without FILE, read
    with them what waits in the broker. Nothing is changed or received.

    breaking: what was sent before is refused by this code, or older code misses something.
    careful: older workers refuse what this code may send. Exit code 1 for what is breaking, and for
    a message that does not fit.

    \b
    Example:
      taskflow schema diff schemas.json --module shop.handlers
      taskflow schema diff --module shop.handlers --limit 100000
    """
    registry = load_registry(modules)
    if not registry.queues():
        raise ConfigError("no handlers were loaded: name their modules by --module")
    differences = [] if file is None else compare_schemas(read_released(file), schemas_of(registry))
    found = Waiting([], [])
    if file is None or waiting:
        with opened(address) as broker:
            found = read_waiting(broker, registry, limit)
    if as_json:
        shown = [{"kind": "difference", **msgspec.structs.asdict(one)} for one in differences]
        shown += [{"kind": "misfit", **msgspec.structs.asdict(one)} for one in found.misfits]
        shown += [{"kind": "looked", **msgspec.structs.asdict(one)} for one in found.looked]
        click.echo(msgspec.json.encode(shown))
    else:
        _show([*differences], found, file)
    bad = ("breaking", "careful") if strict else ("breaking",)
    hurts = any(one.effect in bad for one in differences)
    ctx.exit(1 if hurts or found.misfits else 0)


def _show(differences: list[Difference], found: Waiting, file: Path | None) -> None:
    for one in differences:
        click.echo(printable(str(one)))
    if file is not None and not differences:
        click.echo(f"no difference to {file}")
    for misfit in found.misfits:
        click.echo(printable(f"does not fit: {misfit}"))
    for looked in found.looked:
        click.echo(printable(str(looked)))
