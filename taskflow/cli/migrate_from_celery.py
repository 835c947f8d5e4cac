"""`taskflow migrate-from-celery`: what becomes of a Celery project's tasks."""

from pathlib import Path

import click
import msgspec

from taskflow.celery.project_reading import FoundTask, read_project
from taskflow.text import printable


@click.command("migrate-from-celery")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="A JSON list of objects.")
def migrate_from_celery(path: Path, as_json: bool) -> None:
    """Say of each task in the .py files of PATH what is refused, and what means something else.

    The files are read, never imported or changed. Then change the imports: `from celery import` to
    `from taskflow.celery import`.

    \b
    Example:
      taskflow migrate-from-celery shop/
      taskflow migrate-from-celery shop/ --json | jq '.[] | select(.refused != [])'
    """
    found = read_project(path)
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    for task in found:
        _show(task)
    refused = sum(bool(task.refused) for task in found)
    click.echo(f"{len(found)} tasks; {refused} with something that is refused")


def _show(task: FoundTask) -> None:
    click.echo(printable(f"{task.name} ({task.file}, line {task.line})"))
    for text in task.refused:
        click.echo(f"  refused  {printable(text)}")
    for text in task.changes:
        click.echo(f"  changes  {printable(text)}")
