"""`taskflow copy`: move what waits from one broker to another."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

import click

from taskflow.broker import Broker
from taskflow.brokers.copying.copy import Copy
from taskflow.brokers.copying.giving_up import give_up as give_up_to
from taskflow.brokers.copying.giving_up import on_the_way
from taskflow.brokers.copying.queue_copy import QueueCopy
from taskflow.brokers.copying.tree_tally import TreeTally
from taskflow.brokers.copying.trees import MOST_RECORDS, MOST_TEXT
from taskflow.cli.awaiting import TOO_LATE
from taskflow.cli.letter_acts import yes_option
from taskflow.cli.options import progress, table
from taskflow.config import open_broker, shown_address
from taskflow.errors import BrokerFileError
from taskflow.limits import is_fifo
from taskflow.scheduling.schedule_trees import ScheduleTrees
from taskflow.tasks.run_trees import RunTrees

HEADS = ("QUEUE", "MOVED", "FINISHED", "IN FLIGHT", "OF RUNS")
TREE_HEADS = ("RUNS OF", "MOVED", "IN FLIGHT", "TAKEN", "SCATTERED", "TOO LARGE", "UNREADABLE")


@click.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO", required=False)
@click.option("--queue", "-q", "queues", multiple=True, help="Only this one; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Say what would be moved, and write nothing.")
@click.option(
    "--wait", type=click.FloatRange(0), default=0.0, help="Seconds, for what is in flight."
)
@click.option(
    "--give-up", is_flag=True, help="TO is gone for good: take back the runs on their way to it."
)
@yes_option
@click.option("--json", "as_json", is_flag=True, help="A JSON list of objects.")
def copy(
    source: str,
    target: str | None,
    queues: tuple[str, ...],
    dry_run: bool,
    wait: float,
    give_up: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Move what waits at the broker FROM to the broker TO, while both are in use.

    Topics, queues, subscriptions, tags and pauses are declared at TO; then go the events that
    queues remember as finished, the runs of tasks and workflows, each with its children and steps,
    and the messages: as they are, each once, a FIFO group in order. Repeat it when it was
    interrupted, and until nothing is left. FIFO queues are paused at FROM. What is in flight there
    stays, and so do runs of which any part is. Exit code 124: something was still in flight after
    --wait.

    Runs that were on their way when it was interrupted stay so until it is repeated. Where TO is
    gone for good, --give-up takes them back into use at FROM, and asks first: what TO has of them
    already is not to be begun there.

    \b
    Example:
      taskflow copy sqlite:///broker.db postgresql://shop@db/shop --dry-run
      taskflow copy sqlite:///broker.db postgresql://shop@db/shop --wait 60
      taskflow copy sqlite:///broker.db --give-up
    """
    if give_up:
        _give_up(source, target, dry_run, yes, as_json)
        return
    if target is None:
        raise click.UsageError("Missing argument 'TO'.")
    for name, address in (("FROM", source), ("TO", target)):
        if address.startswith("memory:"):
            raise click.UsageError(f"{name} is memory://, which ends with this command")
    with _opened(source, create=False) as one, _target(target, dry_run) as other:
        work = Copy(one, other, queues, (RunTrees(), ScheduleTrees()))
        plan = work.plan()
        if dry_run:
            copies: Sequence[QueueCopy] = plan
            trees = work.trees.plan()
        else:
            with progress("moving", sum(queue.moved for queue in plan)) as tell:
                copies = work.run(wait, lambda _, count: tell(count))
            trees = work.trees.tallies
        if as_json:
            runs = [{"runs_of": tally.pop("name"), **tally} for tally in map(asdict, trees)]
            click.echo(json.dumps([*(asdict(queue) for queue in copies), *runs]))
        else:
            _show(copies, trees, dry_run)
            for line in _left(copies, trees, dry_run):
                click.echo(line, err=True)
            if work.trees.under_way:
                click.echo(
                    "Runs are on their way since a copy was interrupted: repeat it. "
                    "(--give-up, where its TO is gone for good.)",
                    err=True,
                )
    if wait and (work.trees.in_flight or any(queue.in_flight for queue in copies)):
        click.get_current_context().exit(TOO_LATE)


def _give_up(source: str, target: str | None, dry_run: bool, yes: bool, as_json: bool) -> None:
    if target is not None:
        raise click.UsageError(
            "--give-up is for a TO that is gone for good: leave TO out; where it is there, repeat "
            "the copy without --give-up"
        )
    lines = []
    with _opened(source, create=False) as broker:
        for one in on_the_way(broker):
            line = {**one._asdict(), "back": 0, "stay": list[str]()}
            lines.append(line)
            click.echo(
                f"{one.trees} runs or schedules, each with all that hangs on it, are on their way "
                f"to the broker {one.to}.",
                err=True,
            )
            if dry_run:
                continue
            if not yes:
                click.confirm(
                    "That broker may have them already, and whoever starts it again, or restores "
                    "it, has them run twice. No copy may be under way. Is it gone for good?",
                    abort=True,
                    err=True,
                )
            line.update(give_up_to(broker, one.to)._asdict())
    if as_json:
        click.echo(json.dumps(lines))
    elif not lines:
        click.echo("nothing is on its way")
    elif not dry_run:
        for line in lines:
            click.echo(f"{line['back']} are in use at FROM again")
    if stay := [root for line in lines for root in line["stay"]]:
        click.echo(
            "On their way still, since FROM has a run or schedule of the same id, or one that holds"
            f" the same unique key: {', '.join(stay)}. Repeat the command once that is gone.",
            err=True,
        )
        click.get_current_context().exit(1)


def _show(copies: Sequence[QueueCopy], trees: Sequence[TreeTally], dry_run: bool) -> None:
    if not copies:
        click.echo("no queues")
    elif dry_run:
        lines = [[one.name, one.moved, one.in_flight] for one in copies]
        click.echo(table(("QUEUE", "TO MOVE", "IN FLIGHT"), lines))
    else:
        lines = [[one.name, one.moved, one.finished, one.in_flight, one.of_runs] for one in copies]
        click.echo(table(HEADS, lines))
    if trees:
        heads = [*TREE_HEADS]
        heads[1] = "TO MOVE" if dry_run else "MOVED"
        click.echo()
        click.echo(
            table(
                heads,
                [[*vars(one).values()] for one in trees],
            )
        )


def _left(copies: Sequence[QueueCopy], trees: Sequence[TreeTally], dry_run: bool) -> Iterator[str]:
    """What an operator should know beyond the tables."""
    if any(one.in_flight for one in copies) or any(one.in_flight for one in trees):
        yield "What is in flight is left at FROM: repeat the command once it is finished there."
    if any(one.taken for one in trees):
        yield (
            "TAKEN: TO has a run or schedule of the same id, or one that holds the same unique key;"
            " repeat the command once that is gone, or let these end at FROM."
        )
    if any(one.scattered for one in trees):
        yield (
            "SCATTERED: their messages share limits, so that they lie in other files of FROM than "
            "their runs: let these end at FROM."
        )
    if any(one.too_large for one in trees):
        yield (
            f"TOO LARGE: over {MOST_RECORDS} runs, steps and signals, or {MOST_TEXT >> 20} MiB, "
            "hang on one run: let these end at FROM."
        )
    if any(one.unreadable for one in trees):
        yield "UNREADABLE: their records cannot be read by this version, and are left at FROM."
    if not dry_run and (fifo := [one.name for one in copies if is_fifo(one.name)]):
        yield f"Paused at FROM, so that their order holds: {', '.join(fifo)}"


@contextmanager
def _opened(address: str, create: bool) -> Iterator[Broker]:
    """A broker as it is: bodies that are sealed go sealed."""
    broker = open_broker(address, create=create)
    try:
        yield broker
    finally:
        broker.close()


@contextmanager
def _target(address: str, dry_run: bool) -> Iterator[Broker]:
    try:
        broker = open_broker(address, create=not dry_run)
    except BrokerFileError:
        if not dry_run:
            raise
        click.echo(f"{shown_address(address)} is not there yet.", err=True)
        broker = open_broker("memory://")
    try:
        yield broker
    finally:
        broker.close()
