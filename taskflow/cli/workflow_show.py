"""`taskflow workflow show`: a run with its steps and child runs, and why it waits."""

from collections.abc import Iterator
from typing import Any

import click
import msgspec

from taskflow.cli.awaiting import FAILED, say
from taskflow.cli.options import broker_option, opened
from taskflow.clock import rfc3339
from taskflow.errors import NoResult
from taskflow.tasks.run import RunError
from taskflow.text import printable
from taskflow.workflows.finding import find_run
from taskflow.workflows.tree import Branch, Leaf, mermaid, tree_of

STARTED = "begun, its end not seen"


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
        for line in _lines(tree, "", bodies):
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


# ---- as text -----------------------------------------------------------------------------------
def _lines(branch: Branch, indent: str, bodies: bool) -> Iterator[str]:
    yield f"{indent}{branch.task} {branch.id}: {branch.state}{_times(branch)}"
    if branch.waits_for is not None:
        yield f"{indent}  waits for {branch.waits_for}"
    yield from _error_lines(branch.error, f"{indent}  ", bodies)
    for step in branch.steps:
        yield f"{indent}  {_step(step)}"
        yield from _error_lines(step.error, f"{indent}      ", bodies)
        if bodies and step.state == "done" and step.result is not None:
            yield f"{indent}      returned {msgspec.json.encode(step.result).decode()}"
        for run in step.runs:
            yield from _lines(run, f"{indent}    ", bodies)
        if step.size > len(step.runs) > 1:
            yield f"{indent}    and {step.size - len(step.runs)} more"
    for name in branch.signals:
        yield f"{indent}  signal {name!r} came, and was not taken yet"


def _times(branch: Branch) -> str:
    said = [f"called {_time(branch.created_at)}"]
    if branch.started_at is not None:
        said.append(f"begun {_time(branch.started_at)}")
    if branch.finished_at is not None:
        said.append(f"ended {_time(branch.finished_at)}")
    version = f", version {branch.version}" if branch.version > 1 else ""
    return f" ({', '.join(said)}{version})"


def _step(step: Leaf) -> str:
    state = STARTED if step.state == "started" else step.state
    line = f"{_time(step.time)} {step.id}: {state}"
    if step.took:
        line += f" in {step.took:.3f} s"
    if step.attempts > 1:
        line += f", {step.attempts} attempts"
    if step.until is not None and step.state == "waiting":
        line += f" until {_time(step.until)}"
    return line


def _error_lines(error: RunError | None, indent: str, bodies: bool) -> Iterator[str]:
    if error is None:
        return
    yield f"{indent}{': '.join(filter(None, (error.type, error.message)))}"
    if bodies:
        for line in error.traceback.splitlines():
            yield f"{indent}  {line}"


def _time(moment: float) -> str:
    return rfc3339(moment)[:19] + "Z"
