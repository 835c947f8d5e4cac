"""What `@django.tasks.task` makes for our backend: Django's task, with options of ours."""

from dataclasses import dataclass, fields
from typing import Any

from taskflow.contrib.django.interface import Task
from taskflow.durations import Duration
from taskflow.tasks.flow import LimitOption, RateOption


@dataclass(frozen=True, slots=True, kw_only=True)
class DjangoTask(Task):  # type: ignore[misc]
    """`@task(retries=5, limit=10)`: options of `taskflow.task`, each None for what OPTIONS in the
    setting TASKS say, else `taskflow.task`. `key` names arguments."""

    retries: int | None = None
    backoff: float | None = None
    timeout: float | None = None
    result_failed: Duration | None = None
    limit: LimitOption | None = None
    rate: RateOption | None = None
    concurrency: int | None = None
    key: str | tuple[str, ...] | None = None

    @property
    def chosen(self) -> dict[str, Any]:
        """The options that it was given."""
        named = {name: getattr(self, name) for name in OPTIONS}
        return {name: value for name, value in named.items() if value is not None}


OPTIONS = tuple(one.name for one in fields(DjangoTask) if one.name not in Task.__dataclass_fields__)
