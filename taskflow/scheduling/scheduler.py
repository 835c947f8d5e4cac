"""The scheduler of a registry: it declares what code says, and fires what is due."""

import logging
from collections.abc import Collection, Mapping
from typing import NamedTuple
from weakref import WeakKeyDictionary

from taskflow.broker import Broker
from taskflow.config import setting
from taskflow.errors import RegistrationError
from taskflow.registry import Registry
from taskflow.scheduling.declaring import Code, declare_all, note_missing
from taskflow.scheduling.due_schedules import fire_due
from taskflow.scheduling.spec import Spec
from taskflow.tasks.task import TaskBase

KIND = "schedules"
LOOK_EVERY = 3600.0  # seconds between two looks for what code has no more

log = logging.getLogger("taskflow.schedules")


class Declared(NamedTuple):
    """A schedule that stands above a task."""

    spec: Spec
    task: TaskBase[..., object]


class Scheduler:
    """Thread-safe once modules are imported. Any number of them fire the schedules of a broker."""

    def __init__(self) -> None:
        self._declared: dict[str, Declared] = {}
        self._looks: WeakKeyDictionary[Broker, _Look] = WeakKeyDictionary()

    def add(self, name: str, spec: Spec, task: TaskBase[..., object]) -> None:
        """Know a schedule of code. Raises RegistrationError for a name that is there already."""
        before = self._declared.get(name)
        if before is not None and (before.task is task or before.task.name != task.name):
            raise RegistrationError(
                f"there is a schedule {name!r} already, of task {before.task.name}; give each a "
                "name="
            )
        self._declared[name] = Declared(spec, task)

    def wanted(self, queues: Collection[str] | None = None) -> Mapping[str, Spec]:
        """What code says, of the tasks of these queues."""
        return {
            name: one.spec
            for name, one in self._declared.items()
            if queues is None or (one.spec.task is not None and one.spec.task.queues[0] in queues)
        }

    def declare(self, broker: Broker, queues: Collection[str] | None = None) -> None:
        """Put the schedules of these queues' tasks, and look for those that are gone."""
        wanted = self.wanted(queues)
        if not broker.features.runs:
            if wanted:
                log.error("this broker keeps no schedules: %s are not fired", ", ".join(wanted))
            return
        if wanted:
            declare_all(broker, wanted, _code())
        note_missing(broker, wanted, queues, _code())
        self._looks[broker] = _Look(queues, broker.clock.now() + LOOK_EVERY)

    def tend(self, broker: Broker, worker: str) -> float | None:
        """Fire what is due; now and then, look for what code has no more."""
        if not broker.features.runs:
            return None
        look, now = self._looks.get(broker), broker.clock.now()
        if look is not None and look.due_at <= now:
            self._looks[broker] = look._replace(due_at=now + LOOK_EVERY)
            note_missing(broker, self.wanted(look.queues), look.queues, _code())
        return fire_due(broker, worker)


class _Look(NamedTuple):
    """When to look next, and for those of which queues."""

    queues: Collection[str] | None
    due_at: float


def scheduler(registry: Registry) -> Scheduler:
    """The scheduler of a registry."""
    return registry.tender(KIND, Scheduler)


join = scheduler
"""What `registry.EVERYBODYS` leads to."""


def _code() -> Code:
    return Code(setting("app") or "", setting("release") or "")
