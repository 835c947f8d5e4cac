"""`self.request`: what a task may know of the call that it runs for."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from taskflow.celery.call_words import refused_attribute
from taskflow.event import Context
from taskflow.tasks.task_context import TaskContext

_ELSEWHERE = dict.fromkeys(
    (
        "callbacks",
        "chain",
        "chord",
        "errbacks",
        "eta",
        "expires",
        "group",
        "group_index",
        "hostname",
        "ignore_result",
        "logfile",
        "loglevel",
        "origin",
        "properties",
        "replaced_task_nesting",
        "reply_to",
        "stamped_headers",
        "stamps",
        "timelimit",
        "utc",
    ),
    "all of Celery's request",
)
"""What Celery's has beside, by its names in `REFUSED`."""


@dataclass(slots=True, kw_only=True)
class Request:
    """One attempt. `retries` is 0 at the first. `root_id` and `parent_id` are those of its plan;
    the parent is what it takes its first argument from. Of a plain call only the arguments are
    known, and `called_directly` is True."""

    id: str | None = None
    task: str = ""
    retries: int = 0
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    root_id: str | None = None
    parent_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delivery_info: Mapping[str, Any] = field(default_factory=dict)
    called_directly: bool = True
    is_eager: bool = False
    context: TaskContext | None = field(default=None, repr=False)

    @property
    def correlation_id(self) -> str | None:
        """The id, as in Celery."""
        return self.id

    def __getattr__(self, name: str) -> Any:
        raise refused_attribute("request", name, _ELSEWHERE)


_current: ContextVar[Request | None] = ContextVar("taskflow_celery_request", default=None)


def current_request(task: str) -> Request:
    """The request of the task that runs here; an empty one outside of it."""
    found = _current.get()
    return found if found is not None and found.task == task else Request(task=task)


@contextmanager
def requested(request: Request) -> Iterator[None]:
    """Within the block this is the request of the task that runs."""
    token = _current.set(request)
    try:
        yield
    finally:
        _current.reset(token)


def read_request(
    task: str, context: Context, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Request:
    """The request of an attempt that a worker makes."""
    assert isinstance(context, TaskContext)
    row = None if context.work is None else context.work.row
    place = None if row is None else row.run.place
    id = context.run or context.event.id
    return Request(
        id=id,
        task=task,
        retries=context.attempt - 1,
        args=args,
        kwargs=kwargs,
        root_id=id if place is None else place.root,
        parent_id=None if place is None else place.takes,
        headers=context.headers,
        delivery_info={
            "exchange": "",
            "routing_key": context.queue,
            "queue": context.queue,
            "redelivered": context.attempt > 1,
        },
        called_directly=False,
        context=context,
    )
