"""Tasks by their names, where their code is here."""

from collections.abc import Mapping
from typing import Any

from taskflow.registry import Registry
from taskflow.tasks.call_options import check_options
from taskflow.tasks.calling import Calling
from taskflow.tasks.decorator import task_engine
from taskflow.tasks.task_entry import target_of


def find_calling(
    registry: Registry, name: str, options: Mapping[str, Any]
) -> Calling[..., Any] | None:
    """A task of the registry, by its name or one that it had before, with options for its next
    calls; None when it is not there (`send_task` calls it then). Raises as `Task.options` does."""
    tasks = task_engine(registry).tasks
    entry = tasks.find_task(name)
    if entry is None:
        return None
    target = target_of(entry, tasks.queues(entry.name))
    return Calling(target, entry.parameters, check_options(options, target.defaults), registry)
