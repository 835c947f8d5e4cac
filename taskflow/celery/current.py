"""The app of this process, for what names none: `shared_task`, signatures by name."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, overload

from taskflow.errors import ConfigError

if TYPE_CHECKING:
    from taskflow.celery.celery_app import Celery
    from taskflow.celery.celery_task import CeleryTask

_current: "Celery | None" = None


def current_app() -> "Celery":
    """The one that was made last; without any, one of default settings."""
    global _current
    if _current is None:
        from taskflow.celery.celery_app import Celery

        _current = Celery("default", set_as_current=False)
        _current.is_default = True
    return _current


def set_current(app: "Celery") -> None:
    """Make an app the current one. Raises ConfigError when tasks were shared before there was one:
    they have its settings no more."""
    global _current
    if _current is not None and _current.is_default and _current.tasks:
        raise ConfigError(
            f"{', '.join(_current.tasks)} was shared before the app {app.main!r} was made: import "
            "the module of the app first (in the package's __init__.py), so that tasks have "
            "its settings"
        )
    _current = app


@overload
def shared_task(function: Callable[..., Any], /) -> "CeleryTask": ...
@overload
def shared_task(**options: Any) -> Callable[[Callable[..., Any]], "CeleryTask"]: ...
def shared_task(*args: Any, **options: Any) -> Any:
    """`app.task` of the current app: `@shared_task`, or with options as there."""
    decorator: Callable[..., Any] = current_app().task
    return decorator(*args, **options)
