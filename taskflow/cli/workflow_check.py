"""`taskflow workflow check`: kept runs against the code that is here."""

import contextlib
import sys
from difflib import get_close_matches

import click
import msgspec

from taskflow.cli.awaiting import FAILED
from taskflow.cli.modules import load_registry
from taskflow.cli.options import broker_option, module_option, opened
from taskflow.registry import Registry
from taskflow.tasks.decorator import task_engine
from taskflow.text import printable
from taskflow.workflows.replay import Replay
from taskflow.workflows.replaying import replay_runs
from taskflow.workflows.workflow_entry import WorkflowEntry


@click.command()
@click.argument("name", metavar="[WORKFLOW]", required=False)
@click.option(
    "--replay",
    "count",
    type=click.IntRange(1, 1_000_000),
    default=100,
    show_default=True,
    help="So many of the newest runs, ended ones too.",
)
@click.option("--json", "as_json", is_flag=True, help="A JSON list of objects, all runs.")
@module_option
@broker_option
def check(
    name: str | None, count: int, as_json: bool, modules: tuple[str, ...], address: str | None
) -> None:
    """Try the code that is here on runs that are kept: does it take the steps that they took?

    Each run is executed up to where what is kept of it ends, with the results that are kept. No
    step is run, nothing is sent, kept or taken. (The code between the steps runs; what it prints
    goes to standard error.) Exit code 1 when a run would go another way.

    \b
    Example:
      taskflow workflow check --replay 500 --module shop.orders
    """
    registry = load_registry(modules)
    if name is not None:
        _check_name(registry, name)
    found: list[Replay] = []
    with opened(address) as broker, contextlib.redirect_stdout(sys.stderr):
        found += replay_runs(broker, registry, workflow=name, limit=count)
    drifted = [one for one in found if one.drift]
    if as_json:
        click.echo(msgspec.json.encode(found))
    else:
        for one in drifted:
            click.echo(printable(f"{one.workflow} {one.run} ({one.state}, {one.steps} steps):"))
            for line in one.drift:
                click.echo(printable(f"  {line}"))
        click.echo(f"{len(found)} runs tried, {len(drifted)} would go another way")
    if drifted:
        raise click.exceptions.Exit(FAILED)


def _check_name(registry: Registry, name: str) -> None:
    """Raise UsageError for a workflow that no module here defines."""
    entries = task_engine(registry).tasks.entries()
    known = sorted({one.name for one in entries if isinstance(one, WorkflowEntry)})
    if name in known:
        return
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known) or 'none'}"
    raise click.UsageError(f"no module here defines a workflow {name!r} (--module); {hint}")
