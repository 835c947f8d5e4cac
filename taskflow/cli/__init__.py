"""The `taskflow` command."""

import io
import logging
import sys
from importlib import import_module
from pathlib import Path

import click

import taskflow
from taskflow.errors import BrokerUnavailable, TaskflowError

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
FORMATS = ("text", "json")


COMMANDS = {
    "actions": ("actions", "List who changed what, by commands or the dashboard."),
    "backup": ("backup", "Copy a broker's file while it is in use."),
    "call": ("call", "Call a task through its queue; --wait for its result."),
    "cancel": ("cancel", "Cancel calls of tasks: what waits at once, what runs soon."),
    "copy": ("copy", "Move what waits from one broker to another, while both are in use."),
    "dashboard": ("dashboard", "Show queues, dead letters, runs and workers in a browser."),
    "deploy": ("deploy", "Mark in the charts of the dashboard which code is out."),
    "describe": ("describe", "Show every attribute of a queue or topic, and its tags."),
    "dlq": ("dlq", "Dead letters: causes, list, redrive, resend, debug, purge."),
    "doctor": ("doctor", "Say what will go wrong, by number, and what to do; for CI too."),
    "explain": ("explain", "Say what a topic, queue, task or id comes to, and what is next."),
    "find": ("find", "Find messages in all queues: by id, text, state, cause and more."),
    "health": ("health", "Ask a worker or a server how it is: exit code 0 or 1."),
    "keys": ("keys", "Add, list and revoke the access keys of a broker that is served."),
    "migrate": ("migrate", "Bring the tables of a broker at postgresql:// up to date."),
    "migrate-from-celery": ("migrate_from_celery", "Say what becomes of a Celery project's tasks."),
    "pause": ("queues", "Let no worker receive from a queue until it is resumed."),
    "peek": ("peek", "Look at the oldest messages of a queue without receiving them."),
    "publish": ("publish", "Publish an event to a topic and print its id."),
    "purge": ("purge", "Delete all messages of a queue for good."),
    "queues": ("queues", "Show what every queue holds, and what became of the rest."),
    "resume": ("queues", "Let workers receive from a queue again."),
    "result": ("result", "Show what became of a run of a task."),
    "runs": ("runs", "List the runs of tasks that are kept, the newest first."),
    "schedule": ("schedule", "What is due by the clock: list, next, run-now, pause, resume."),
    "schema": ("schema", "Payload types: export; compare with a release, and what waits."),
    "send": ("send", "Send a text to a queue as it is, as SendMessage does."),
    "serve": ("serve", "Serve the broker as SQS and SNS on one port, with a page at /."),
    "shards": ("shards", "Show over how many files a broker lies, or change that."),
    "tags": ("tags", "Show the tags of a queue or topic; set some and remove others."),
    "top": ("top", "Watch queues, rates, the slowest handlers and the last failures."),
    "topology": ("topology", "Show what subscribes to what, as the handlers say."),
    "worker": ("worker", "Run the handlers of queues, or of every queue that has one."),
    "workflow": ("workflow", "Runs of workflows: list, show, signal, cancel, retry, fork, check."),
    "workers": ("workers", "List the worker processes that reported lately."),
}
"""Each command: the module it lives in, and the line that `taskflow --help` has for it. A module is
imported when its command is called."""


class _Group(click.Group):
    """Turns taskflow's errors into one line and an exit code: 2 for bad input, 1 for a broker
    that cannot be used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*COMMANDS, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:  # one of a project that adds its own
            return super().get_command(ctx, name)
        module = import_module(f"taskflow.cli.{COMMANDS[name][0]}")
        command: click.Command = getattr(module, name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = []
        for name in self.list_commands(ctx):
            own = None if name in COMMANDS else self.get_command(ctx, name)
            rows.append((name, own.get_short_help_str() if own else COMMANDS[name][1]))
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except TaskflowError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(1 if isinstance(error, BrokerUnavailable) else 2)
        except UnicodeEncodeError as error:
            click.echo(f"Error: {error.object!r} is no UTF-8", err=True)
            ctx.exit(2)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(taskflow.__version__, prog_name="taskflow")
@click.option("--log-level", type=click.Choice(LEVELS, case_sensitive=False), help="Default: INFO.")
@click.option("--log-format", type=click.Choice(FORMATS), help="Default: text.")
def main(log_level: str | None, log_format: str | None) -> None:
    """Tasks, events, queues and workers: call, publish, work, look, repair.

    Every option is read from its flag, else from a TASKFLOW_… variable, else from [taskflow] in
    ./setup.cfg. Exit codes: 0 done, 1 the broker or a run failed, 2 bad input,
    124 what was waited for has not ended in time.

    \b
    Example:
      taskflow worker audit --module shop.handlers
      taskflow publish order.created '{"order_id": "ord_1"}'

    \b
    Shell completion (bash; zsh and fish likewise):
      eval "$(_TASKFLOW_COMPLETE=bash_source taskflow)"
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what the terminal's encoding lacks, as an escape
            stream.reconfigure(errors="backslashreplace")
    from taskflow.cli.log_lines import log_handler
    from taskflow.config import setting  # with it come brokers, which `--help` does not need

    level = (log_level or setting("log_level") or "INFO").upper()
    if level not in LEVELS:
        raise click.UsageError(f"log_level is {level!r}; allowed: {', '.join(LEVELS)}")
    style = log_format or setting("log_format") or "text"
    if style not in FORMATS:
        raise click.UsageError(f"log_format is {style!r}; allowed: {', '.join(FORMATS)}")
    logging.basicConfig(level=level, handlers=[log_handler(style)])
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.insert(_before_packages(), folder)


def _before_packages() -> int:
    """Where modules of the current folder are looked for: after Python's own, which a `queue.py`
    there must not replace, and before all that is installed."""
    kinds = ("site-packages", "dist-packages")
    places = [number for number, path in enumerate(sys.path) if Path(path).name in kinds]
    return places[0] if places else len(sys.path)
