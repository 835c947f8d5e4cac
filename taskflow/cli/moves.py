"""`taskflow dlq move|moves|cancel`: move tasks, which empty a dead-letter queue at a rate."""

import json
import threading
from dataclasses import asdict

import click

from taskflow.broker.admin import Admin
from taskflow.broker.settings import MoveTask
from taskflow.cli.options import broker_option, dead_letter_queue, opened, progress, table
from taskflow.cli.recording import note
from taskflow.clock import rfc3339
from taskflow.errors import MoveTaskNotFound
from taskflow.limits import MAX_MOVE_RATE

CHUNK = 500  # dead letters of one transaction, so that workers go on meanwhile
STEP = 0.1  # seconds to wait when a step could move no more
HEADS = ("QUEUE", "TO", "STATUS", "MOVED", "OF", "RATE", "STARTED", "HANDLE")
FAILURES = {
    "AWS.SimpleQueueService.NonExistentQueue": "the queue they go to does not exist any more",
    "CouldNotDetermineMessageSource": "where the next one came from is not known; say --to",
}


class MoveFailed(click.ClickException):
    """A move task ended before its time: exit code 1."""


@click.command()
@click.argument("queue")
@click.option("--to", "destination", help="This queue; default: the one that each came from.")
@click.option(
    "--rate",
    type=click.IntRange(1, MAX_MOVE_RATE),
    help="At most so many a second; default: as fast as it goes.",
)
@broker_option
def move(queue: str, destination: str | None, rate: int | None, address: str | None) -> None:
    """Move all dead letters of QUEUE back, or to another queue, at a rate.

    As StartMessageMoveTask of SQS: letters that come later stay, and one that cannot be moved ends
    it. This command does the moving itself, until all are moved; Ctrl-C cancels the rest. If it is
    killed the task stays: the same command goes on with it, or `taskflow serve` on this broker from
    its next start. (AWS moves by itself; there the command only watches.)

    \b
    Example:
      taskflow dlq move audit --rate 10
    """
    with opened(address) as broker:
        letters = dead_letter_queue(broker, queue)
        task = _start(broker, letters, destination, rate)
        try:
            left = f"{task.total - task.moved} of {task.total}"
            click.echo(f"moving {left} dead letters of {letters}; Ctrl-C cancels", err=True)
            task = step_until_over(broker, task)
        except KeyboardInterrupt:
            task = _cancel(broker, task)
        note(broker, "move", queue=letters, target=destination, count=task.moved)
    done = f"moved {task.moved} of {task.total} dead letters of {queue}"
    if task.status == "FAILED":
        why = FAILURES.get(task.failure or "", task.failure)
        raise MoveFailed(f"{done}, then it failed: {why}")
    click.echo(f"{done}; cancelled" if task.status == "CANCELLED" else done)


@click.command()
@click.argument("queue", required=False)
@click.option("--json", "as_json", is_flag=True, help="A JSON list of objects.")
@broker_option
def moves(queue: str | None, as_json: bool, address: str | None) -> None:
    """List move tasks of QUEUE, or of all, newest first; also those that were started over HTTP.

    \b
    Example:
      taskflow dlq moves audit
    """
    with opened(address) as broker:
        found = broker.moves(queue and dead_letter_queue(broker, queue))
    if as_json:
        click.echo(json.dumps([asdict(task) for task in found]))
        return
    lines = [
        [
            task.source,
            task.destination or "-",
            task.status if task.failure is None else f"{task.status} ({task.failure})",
            task.moved,
            task.total,
            task.rate or "-",
            rfc3339(task.started_at),
            task.handle,
        ]
        for task in found
    ]
    click.echo(table(HEADS, lines) if lines else "no move tasks")


@click.command()
@click.argument("queue")
@broker_option
def cancel(queue: str, address: str | None) -> None:
    """Cancel the running move task of QUEUE, whoever started it. What is moved stays moved.

    \b
    Example:
      taskflow dlq cancel audit
    """
    with opened(address) as broker:
        letters = dead_letter_queue(broker, queue)
        running = _running(broker, letters)
        if running is None:
            raise click.UsageError(f"{letters} has no running move task")
        task = broker.cancel_move(running.handle)
        note(broker, "cancel move", queue=letters, count=task.moved)
    click.echo(f"cancelled; moved {task.moved} of {task.total} dead letters of {queue}")


def step_until_over(broker: Admin, task: MoveTask) -> MoveTask:
    """Step until the task is over, which others may step or cancel too; answers how it ended."""
    pause = threading.Condition()
    with progress("moving", max(1, task.total)) as moved:
        while True:
            broker.step_moves(CHUNK)
            now = _look_again(broker, task)
            moved(now.moved - task.moved)
            if now.status != "RUNNING":
                return now
            if now.moved - task.moved < CHUNK:
                with pause:
                    broker.clock.wait(pause, STEP)
            task = now


def _running(broker: Admin, letters: str) -> MoveTask | None:
    """There is one at most."""
    return next((task for task in broker.moves(letters) if task.status == "RUNNING"), None)


def _start(broker: Admin, letters: str, destination: str | None, rate: int | None) -> MoveTask:
    """A new task, or the running one if it is the same."""
    running = _running(broker, letters)
    if running is None:
        return broker.start_move(letters, destination, rate)
    if (running.destination, running.rate) != (destination, rate):
        raise click.UsageError(
            f"another move task of {letters} is running, to {running.destination or 'the origins'} "
            f"with rate {running.rate or 'none'}; `taskflow dlq cancel {letters}` ends it"
        )
    return running


def _look_again(broker: Admin, task: MoveTask) -> MoveTask:
    """By its time: on AWS a task has no handle once it has ended."""
    return next(one for one in broker.moves(task.source) if one.started_at == task.started_at)


def _cancel(broker: Admin, task: MoveTask) -> MoveTask:
    try:
        return broker.cancel_move(task.handle)
    except MoveTaskNotFound:  # it has just ended
        return _look_again(broker, task)
