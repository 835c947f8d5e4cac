"""`taskflow schedule`: what is due by the clock; look, pause, resume, run now."""

import json

import click
import msgspec

from taskflow.cli.options import broker_option, opened, table
from taskflow.cli.recording import note
from taskflow.clock import rfc3339
from taskflow.scheduling.schedule import Schedule
from taskflow.scheduling.schedules import schedules

HEADS = (
    "SCHEDULE",
    "WHEN",
    "WHAT",
    "STATE",
    "NEXT",
    "LAST",
    "FIRED",
    "SKIPPED",
    "MISSED",
    "FAILED",
)
STATES = ("active", "paused", "ended")


@click.group()
def schedule() -> None:
    """Schedules: list, next, run-now, pause, resume.

    \b
    Example:
      taskflow schedule list --state paused
    """


@schedule.command(name="list")
@click.option("--task", "label", metavar="NAME", help="Of this task, or topic.")
@click.option("--state", type=click.Choice(STATES), help="In this state.")
@click.option(
    "--limit", type=click.IntRange(1), default=1000, show_default=True, help="At most so many."
)
@click.option("--json", "as_json", is_flag=True, help="A JSON list of objects.")
@broker_option
def list_schedules(
    label: str | None, state: str | None, limit: int, as_json: bool, address: str | None
) -> None:
    """List schedules, the oldest first. Times are in UTC.

    \b
    Example:
      taskflow schedule list --json | jq '.[] | select(.failed > 0).name'
    """
    found: list[Schedule] = []
    after: str | None = None
    with opened(address) as broker:
        while len(found) < limit:
            page = schedules.list(
                label=label,
                state=state,  # type: ignore[arg-type]
                after=after,
                limit=min(1000, limit - len(found)),
                broker=broker,
            )
            found += page.schedules
            after = page.next
            if after is None:
                break
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(found)))
        return
    click.echo(table(HEADS, [_line(one) for one in found]) if found else "no schedules")
    if after is not None:
        click.echo(f"and more: --limit {limit} were asked for", err=True)


def _line(one: Schedule) -> list[str | int]:
    state = f"{one.state}, gone from code" if one.missing_since is not None else one.state
    return [
        one.name,
        _when(one),
        one.task or f"publish {one.topic}",
        state,
        _time(one.next_tick),
        _time(one.last_tick),
        one.fired,
        one.skipped,
        one.missed,
        one.failed,
    ]


def _when(one: Schedule) -> str:
    if one.every is not None:
        return f"every {one.every:g} s"
    if one.cron is not None:
        return f"{one.cron} {one.tz}"
    return "" if one.at is None else f"once, {_time(one.at)}"


def _time(moment: float | None) -> str:
    return "-" if moment is None else rfc3339(moment)[:19] + "Z"


@schedule.command(name="next")
@click.argument("name")
@click.option(
    "--count", type=click.IntRange(1, 1000), default=5, show_default=True, help="So many."
)
@broker_option
def next_ticks(name: str, count: int, address: str | None) -> None:
    """Print the next times of NAME, in UTC; none while it is paused.

    \b
    Example:
      taskflow schedule next report --count 3
    """
    with opened(address) as broker:
        ticks = schedules.next(name, count, broker=broker)
    for tick in ticks:
        click.echo(_time(tick))


@schedule.command(name="run-now")
@click.argument("name")
@broker_option
def run_now(name: str, address: str | None) -> None:
    """Do what NAME does at its times once, now, and print the id. Its times stay as they are.

    \b
    Example:
      taskflow schedule run-now report
    """
    with opened(address) as broker:
        click.echo(str(schedules.run_now(name, broker=broker)))
        note(broker, "run schedule", target=name)


@schedule.command(name="pause")
@click.argument("name")
@broker_option
def pause_schedule(name: str, address: str | None) -> None:
    """Fire NAME no more, until it is resumed. A deploy does not resume it.

    \b
    Example:
      taskflow schedule pause report
    """
    with opened(address) as broker:
        schedules.pause(name, broker=broker)
        note(broker, "pause schedule", target=name)
    click.echo(f"paused {name}")


@schedule.command(name="resume")
@click.argument("name")
@broker_option
def resume_schedule(name: str, address: str | None) -> None:
    """Let NAME go on from now. What it would have fired meanwhile is not made up for.

    \b
    Example:
      taskflow schedule resume report
    """
    with opened(address) as broker:
        schedules.resume(name, broker=broker)
        note(broker, "resume schedule", target=name)
    click.echo(f"resumed {name}")
