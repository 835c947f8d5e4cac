"""`taskflow workers`: who is working on the broker now, and telling one of them to pause or end."""

import json

import click
import msgspec

from taskflow.broker import Broker, WorkerReport
from taskflow.cli.options import broker_option, opened, table
from taskflow.cli.recording import note
from taskflow.worker.orders import Told, tell_worker

HEADS = (
    "HOST",
    "PID",
    "STATE",
    "QUEUES",
    "BUSY",
    "SLOTS",
    "RUNS",
    "FAILED",
    "SKIPPED",
    "UP(S)",
    "SEEN(S)",
)


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="A JSON list of objects.")
@broker_option
@click.pass_context
def workers(context: click.Context, as_json: bool, address: str | None) -> None:
    """List the worker processes that reported within the last 30 seconds, or tell one of them to
    pause, resume or drain.

    \b
    Example:
      taskflow workers
      taskflow workers drain mail-1:3988
    """
    if context.invoked_subcommand is not None:
        return
    with opened(address) as broker:
        found = broker.workers()
        now = broker.clock.now()
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(found, str_keys=True)))
        return
    lines = [
        [
            one.host,
            one.pid,
            one.does or ("working" if one.busy else "ready"),
            ",".join(one.queues),
            one.busy,
            one.slots,
            round(sum(totals["runs"] for totals in one.handlers.values())),
            round(sum(totals["failed"] for totals in one.handlers.values())),
            round(sum(totals.get("skipped", 0) for totals in one.handlers.values())),
            round(now - one.started_at),
            round(now - one.seen_at),
        ]
        for one in found
    ]
    click.echo(table(HEADS, lines) if lines else "no worker has reported within 30 s")


@workers.command("pause")
@click.argument("worker")
@broker_option
def pause_worker(worker: str, address: str | None) -> None:
    """Let WORKER (HOST:PID, or its id) take nothing new; what it holds is finished.

    It does so within 10 seconds, until it is resumed or ends. `taskflow pause` is for a queue.

    \b
    Example:
      taskflow workers pause mail-1:3988
    """
    _tell(address, worker, "pause", "takes nothing new within 10 s")


@workers.command("resume")
@click.argument("worker")
@broker_option
def resume_worker(worker: str, address: str | None) -> None:
    """Let WORKER (HOST:PID, or its id) go on after a pause.

    \b
    Example:
      taskflow workers resume mail-1:3988
    """
    _tell(address, worker, "", "goes on within 10 s")


@workers.command("drain")
@click.argument("worker")
@broker_option
def drain_worker(worker: str, address: str | None) -> None:
    """Let WORKER (HOST:PID, or its id) take nothing new, finish what runs however long that takes,
    and end with exit code 0.

    Whatever started it may start another: --processes, systemd and Kubernetes do. There is no way
    back.

    \b
    Example:
      taskflow workers drain mail-1:3988
    """
    _tell(address, worker, "drain", "takes nothing new within 10 s, and ends")


def _tell(address: str | None, worker: str, told: Told, said: str) -> None:
    with opened(address) as broker:
        if not broker.features.runs:
            raise click.ClickException("this broker keeps no records, so no worker can be told")
        one = _find(broker, worker)
        tell_worker(broker, one.id, told)
        name = f"{one.host}:{one.pid}"
        note(broker, f"{told or 'resume'} worker", target=name)
    click.echo(f"{name} {said}")


def _find(broker: Broker, worker: str) -> WorkerReport:
    found = broker.workers()
    for one in found:
        if worker in (one.id, f"{one.host}:{one.pid}"):
            return one
    known = ", ".join(f"{one.host}:{one.pid}" for one in found[:10]) or "none"
    raise click.UsageError(f"no worker {worker} has reported within 30 s; there are: {known}")
