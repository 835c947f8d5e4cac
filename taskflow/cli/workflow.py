"""`taskflow workflow`: runs of workflows; look, tell, cancel, go on, begin anew, try new code."""

import click

from taskflow.cli.workflow_changes import cancel_workflow, fork, retry, signal
from taskflow.cli.workflow_check import check
from taskflow.cli.workflow_list import list_workflows
from taskflow.cli.workflow_show import show


@click.group()
def workflow() -> None:
    """Runs of workflows: list, show, signal, cancel, retry, fork, check.

    \b
    Example:
      taskflow workflow list --state failed --since 1d
      taskflow workflow show order-7
    """


for command in (list_workflows, show, signal, cancel_workflow, retry, fork, check):
    workflow.add_command(command)
