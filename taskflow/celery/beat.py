"""The schedules of apps, handed to taskflow's scheduler when a worker starts."""

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from taskflow.broker import Broker
from taskflow.celery.not_ported import refuse
from taskflow.celery.periodic_task import PeriodicTask
from taskflow.errors import ConfigError
from taskflow.scheduling.schedule_options import make_spec, make_timing
from taskflow.scheduling.scheduler import scheduler

if TYPE_CHECKING:
    from taskflow.celery.celery_app import Celery

KIND = "celery beat"
_ODD = re.compile(r"[^\x21-\x7e]+")


class Beat:
    """Reads `beat_schedule` and `add_periodic_task` of its apps once each worker has imported all
    tasks. As in Celery, a tick does not wait for the run before it."""

    def __init__(self) -> None:
        self.apps: list[Celery] = []
        self._known: set[tuple[str, str]] = set()

    def declare(self, broker: Broker, queues: Collection[str] | None = None) -> None:
        """Let the scheduler know them. Raises ConfigError for a task that no module defines,
        NotPorted for an option that no schedule has."""
        new = [
            (app, one)
            for app in self.apps
            for one in app.periodic_tasks()
            if (one.name, one.task) not in self._known
        ]
        for app, one in new:
            self._add(app, one)
        if new:  # it may have declared before this
            scheduler(new[0][0].registry).declare(broker, queues)

    def tend(self, broker: Broker, worker: str) -> float | None:
        """The scheduler does."""
        return None

    def _add(self, app: "Celery", one: PeriodicTask) -> None:
        task = app.tasks.get(one.task)
        if task is None:
            raise ConfigError(
                f"beat_schedule {one.name!r} calls {one.task!r}, which no module that was imported "
                f"defines; there are {', '.join(app.tasks) or 'no tasks'}"
            )
        if unknown := sorted(one.options.keys() - {"queue"}):
            raise refuse("options of a schedule", unknown)
        timing = make_timing(
            one.every, one.cron, tz="UTC" if one.cron is None else app.conf.timezone or "UTC"
        )
        given = {"args": one.args, "kwargs": one.kwargs, "overlap": "allow"}
        spec = make_spec(timing, given, task=task.native, queue=one.options.get("queue"))
        scheduler(app.registry).add(schedule_name(one.name), spec, task.native)
        self._known.add((one.name, one.task))


def schedule_name(name: str) -> str:
    """The name that `taskflow schedule` shows: without spaces, and no longer than may be."""
    return _ODD.sub("-", name)[:100]
