"""`taskflow result`: what became of a run."""

from typing import Any

import click
import msgspec

from taskflow.cli.awaiting import FAILED, await_run, check_timeout, say, wait_options
from taskflow.cli.options import broker_option, opened
from taskflow.clock import rfc3339
from taskflow.tasks.describing import describe_runs
from taskflow.tasks.run import load
from taskflow.text import printable

WAIT, TIMEOUT = wait_options


@click.command()
@click.argument("run_id", metavar="ID")
@WAIT
@TIMEOUT
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@broker_option
def result(
    run_id: str, wait: bool, timeout: float | None, as_json: bool, address: str | None
) -> None:
    """Show what became of the run ID: state, result or error, attempts, progress, times.

    Exit codes: 1 when there is no such run (any more), and with --wait when it failed; 124 when
    it has not ended within --timeout.

    \b
    Example:
      taskflow result 01a3185c-5000-7c20-a29f-6fbed82c07cd --json | jq .state
    """
    check_timeout(wait, timeout)
    code = 0
    with opened(address) as broker:
        if wait:
            try:
                await_run(broker, run_id, timeout, traceback=False)
            except click.exceptions.Exit as ended:
                code = ended.exit_code
        found = describe_runs(broker, list(load(broker, [run_id]).values()), bodies=True)
    if found and as_json:
        click.echo(msgspec.json.encode(found[0]))
    elif found:
        _show(found[0])
    elif not wait:
        say(f"there is no run {run_id!r}, or not any more")
        code = FAILED
    raise click.exceptions.Exit(code)


def _show(found: dict[str, Any]) -> None:
    """A line for each that is there; the traceback as it was."""
    for name, value in found.items():
        if value is None or name == "error":
            continue
        click.echo(f"{name}: {_text(name, value)}")
    if (error := found["error"]) is not None:
        click.echo(
            f"error: {printable(': '.join(filter(None, (error['type'], error['message']))))}"
        )
        for line in printable(error["traceback"], lines=True).splitlines():
            click.echo(f"  {line}")


def _text(name: str, value: Any) -> str:
    if name == "progress":
        done, total, note = value["done"], value["total"], value["note"]
        of = "" if total is None else f" of {total:g}"
        return printable(f"{done:g}{of} {note}".rstrip())
    if name.endswith("_at"):
        return rfc3339(value)
    return printable(bytes(value).decode() if isinstance(value, msgspec.Raw) else str(value))
