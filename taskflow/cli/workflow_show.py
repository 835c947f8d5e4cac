"""`taskflow workflow show`: a run with its steps and child runs, and why it waits."""

from typing import Any

import click
import msgspec

from taskflow.cli.awaiting import FAILED, say
from taskflow.cli.options import broker_option, opened
from taskflow.errors import NoResult
from taskflow.tasks.run import RunError
from taskflow.text import printable
from taskflow.workflows.run_lookup import find_run
from taskflow.workflows.tree import Branch, Leaf, tree_of
from taskflow.workflows.tree_text import mermaid, tree_lines


@click.command()
@click.argument("run_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@click.option("--mermaid", "as_mermaid", is_flag=True, help="A Mermaid flowchart.")
@click.option("--bodies", is_flag=True, help="With what steps returned, and tracebacks.")
@broker_option
def show(run_id: str, as_json: bool, as_mermaid: bool, bodies: bool, address: str | None) -> None:
    """Show the run ID with its steps and child runs: states, times (UTC), why it waits, and the
    signals that it has not taken.

    Exit code 1 when there is no such run.

    \b
    Example:
      taskflow workflow show order-7
      taskflow workflow show order-7 --json | jq '.steps[].id'
    """
    if as_mermaid and (as_json or bodies):
        raise click.UsageError("--mermaid draws ids and states; it goes with no other option")
    with opened(address) as broker:
        try:
            find_run(broker, run_id)
            tree = tree_of(broker, run_id)
        except NoResult as error:
            say(str(error))
            raise click.exceptions.Exit(FAILED) from None
    if as_json:
        click.echo(msgspec.json.encode(_plain(tree, bodies)))
    elif as_mermaid:
        click.echo(mermaid(tree))
    else:
        for line in tree_lines(tree, times=True, bodies=bodies):
            click.echo(printable(line))


# ---- as data -----------------------------------------------------------------------------------
def _plain(branch: Branch, bodies: bool) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.structs.asdict(branch)
    found["error"] = _error(branch.error, bodies)
    found["steps"] = [_plain_step(step, bodies) for step in branch.steps]
    return found


def _plain_step(step: Leaf, bodies: bool) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.structs.asdict(step)
    found["error"] = _error(step.error, bodies)
    found["runs"] = [_plain(run, bodies) for run in step.runs]
    if not bodies:
        found.pop("result")
    return found


def _error(error: RunError | None, bodies: bool) -> dict[str, str] | None:
    if error is None:
        return None
    found = {"type": error.type, "message": error.message}
    return {**found, "traceback": error.traceback} if bodies else found
