"""Which queues a task has: by its own word, else by `task_routes`, else the default one."""

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from taskflow.celery.not_ported import refuse
from taskflow.errors import ConfigError


def read_queues(given: Any) -> tuple[str, ...]:
    """`task_queues`: names, a dict by name, or objects with a `name`."""
    if isinstance(given, Mapping):
        for options in given.values():
            _check_route(options or {})
        return tuple(given)
    return tuple(str(getattr(one, "name", one)) for one in given or ())


def read_routes(given: Any) -> Sequence[tuple[Any, str]]:
    """`task_routes` as (name, pattern or regular expression, and queue)."""
    pairs: Iterable[Any] = given.items() if isinstance(given, Mapping) else given or ()
    routes: list[tuple[Any, str]] = []
    for one in pairs:
        if isinstance(one, Mapping) or (isinstance(one, list | tuple) and _are_pairs(one)):
            routes += read_routes(one)
            continue
        if isinstance(one, str) or callable(one) or len(one) != 2:
            raise ConfigError(
                f"task_routes holds {one!r}; {{'mails.*': {{'queue': 'mails'}}}} is known: queue= "
                "of the task says it where that is not enough"
            )
        pattern, route = one
        queue = route if isinstance(route, str) else _check_route(route).get("queue")
        if queue is None:
            raise ConfigError(f"task_routes {pattern!r} is {route!r}; a queue is wanted")
        routes.append((pattern, str(getattr(queue, "name", queue))))
    return routes


def queue_by_route(routes: Sequence[tuple[Any, str]], task: str) -> str | None:
    """The queue of the first route that fits a task's name."""
    for pattern, queue in routes:
        if isinstance(pattern, re.Pattern):
            if pattern.match(task):
                return queue
        elif pattern == task or fnmatchcase(task, pattern):
            return queue
    return None


def _are_pairs(some: Sequence[Any]) -> bool:
    """Whether these are routes, and not one."""
    return all(isinstance(one, list | tuple) for one in some)


def _check_route(route: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in ("exchange", "exchange_type", "routing_key", "priority"):
        if route.get(name) is not None:
            raise refuse("exchange" if name == "exchange_type" else name, route[name])
    return route
