"""`taskflow top`: a live view of queues, rates, slow handlers and recent failures."""

import threading
from collections import defaultdict
from typing import TYPE_CHECKING

import click

from taskflow.broker import Broker, QueueCounts, WorkerReport
from taskflow.cli.options import broker_option, opened
from taskflow.clock import rfc3339
from taskflow.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

SHOWN = 8


@click.command()
@click.option("--every", type=click.FloatRange(0.1), default=2.0, help="Seconds between looks.")
@click.option("--count", type=click.IntRange(1), help="Look so many times, then stop.")
@broker_option
def top(every: float, count: int | None, address: str | None) -> None:
    """Watch queues, rates, in flight, the slowest handlers and recent failures. Ctrl-C stops.

    \b
    Example:
      taskflow top --every 1
    """
    try:
        from rich.live import Live
    except ImportError as error:
        raise ConfigError("top needs rich: pip install 'taskflow-events[top]'") from error
    pause = threading.Condition()
    with opened(address) as broker:
        view = View(broker)
        with Live(view.look(), auto_refresh=False) as live:
            looks = 1
            try:
                while count is None or looks < count:
                    with pause:
                        broker.clock.wait(pause, every)
                    live.update(view.look(), refresh=True)
                    looks += 1
            except KeyboardInterrupt:
                pass


class View:
    """One broker, looked at again and again; rates are what changed between two looks."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._last: dict[str, QueueCounts] = {}
        self._at = broker.clock.now()

    def look(self) -> "Group":
        """Everything as rich tables."""
        from rich.console import Group

        now = self._broker.clock.now()
        counts = {name: one.counts for name, one in self._broker.survey().items()}
        reports = self._broker.workers()
        parts = [
            self._queues(counts, now - self._at),
            *([scaled(reports)] if any(report.scaling for report in reports) else []),
            slowest(reports),
            failures(reports),
        ]
        self._last, self._at = counts, now
        return Group(*parts)

    def _queues(self, counts: dict[str, QueueCounts], seconds: float) -> "Table":
        table = new_table(
            "QUEUE", "VISIBLE", "IN FLIGHT", "DELAYED", "DUE(S)", "DONE/S", "DEAD", "EXPIRED"
        )
        for name, found in counts.items():
            before = self._last.get(name, found)
            rate = (found.handled - before.handled) / seconds if seconds > 0 else 0.0
            table.add_row(
                f"{name} (paused)" if found.paused else name,
                str(found.visible),
                str(found.in_flight),
                str(found.delayed),
                f"{found.due_age_seconds:.1f}",
                f"{rate:.1f}",
                str(found.dead_lettered),
                str(found.expired),
            )
        return table


def scaled(reports: list[WorkerReport]) -> "Table":
    """The workers that have grown or shrunk, and why they did so last."""
    table = new_table("HOST", "QUEUES", "PID", "BUSY", "SLOTS", "LAST CHANGE OF SLOTS", left=True)
    for one in [report for report in reports if report.scaling][:SHOWN]:
        numbers = (str(one.pid), str(one.busy), str(one.slots))
        table.add_row(one.host, ",".join(one.queues), *numbers, one.scaling)
    return table


def slowest(reports: list[WorkerReport]) -> "Table":
    """Handlers by their average time, over all workers."""
    table = new_table("HANDLER", "RUNS", "FAILED", "SKIPPED", "AVERAGE MS", "LONGEST MS")
    totals: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for report in reports:
        for name, found in report.handlers.items():
            for key in ("runs", "failed", "skipped", "seconds"):
                totals[name][key] += found.get(key, 0)  # an older worker counts less
            totals[name]["most"] = max(totals[name]["most"], found["most"])
    ordered = sorted(
        totals.items(), key=lambda one: one[1]["seconds"] / one[1]["runs"], reverse=True
    )
    for name, found in ordered[:SHOWN]:
        table.add_row(
            name,
            f"{found['runs']:.0f}",
            f"{found['failed']:.0f}",
            f"{found['skipped']:.0f}",
            f"{found['seconds'] / found['runs'] * 1000:.1f}",
            f"{found['most'] * 1000:.1f}",
        )
    return table


def failures(reports: list[WorkerReport]) -> "Table":
    """The latest failed attempts of all workers."""
    table = new_table("FAILED AT", "QUEUE", "HANDLER", "OUTCOME", "ERROR", "EVENT", left=True)
    found = [failure for report in reports for failure in report.failures]
    for one in sorted(found, key=lambda failure: failure["at"], reverse=True)[:SHOWN]:
        keys = ("queue", "handler", "outcome", "error", "event")
        table.add_row(rfc3339(one["at"]), *[str(one[key]) for key in keys])
    return table


def new_table(*heads: str, left: bool = False) -> "Table":
    """An empty table with these columns; all but the first are to the right, or none is."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for number, head in enumerate(heads):
        table.add_column(head, justify="left" if left or number == 0 else "right")
    return table
