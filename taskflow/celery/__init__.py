"""The surface of Celery over taskflow's tasks: a ported project imports from here instead.

    from taskflow.celery import Celery, chain, group, chord, shared_task

It imports nothing of Celery. What does not map is refused by name, with what to use instead.
"""

from typing import Any

from taskflow.celery import exceptions, states
from taskflow.celery.async_result import AsyncResult
from taskflow.celery.call_words import refused_attribute
from taskflow.celery.celery_app import Celery
from taskflow.celery.chains import Chain as chain
from taskflow.celery.chains import chord
from taskflow.celery.crontab import Crontab as crontab
from taskflow.celery.current import current_app, shared_task
from taskflow.celery.group_result import GroupResult
from taskflow.celery.groups import Group as group
from taskflow.celery.signatures import Signature as signature

subtask = signature

__all__ = [
    "AsyncResult",
    "Celery",
    "GroupResult",
    "chain",
    "chord",
    "crontab",
    "current_app",
    "exceptions",
    "group",
    "shared_task",
    "signature",
    "states",
    "subtask",
]


def __getattr__(name: str) -> Any:
    raise refused_attribute("celery", name, {"visitors": "StampingVisitor", "platforms": "Worker"})
