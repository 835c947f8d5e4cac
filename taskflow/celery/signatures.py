"""One call as data: `add.s(2, 2)`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from taskflow.celery.canvas import Canvas
from taskflow.celery.current import current_app
from taskflow.celery.planning import plant

if TYPE_CHECKING:
    from taskflow.celery.async_result import AsyncResult
    from taskflow.celery.celery_app import Celery


class Signature(Canvas):
    """Of a task, or of its name alone. `immutable`: it does not take what comes before it."""

    def __init__(
        self,
        task: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        *,
        immutable: bool = False,
        app: "Celery | None" = None,
        **more: Any,
    ) -> None:
        super().__init__({**(options or {}), **more})
        self.app = app or getattr(task, "app", None) or current_app()
        self.task = task if isinstance(task, str) else task.name
        self.args = tuple(args)
        self.kwargs = dict(kwargs or {})
        self.immutable = immutable

    def clone(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> "Signature":
        """A copy, with these arguments before its own, and more options."""
        made = Signature(
            self.task, self.args, self.kwargs, self.options, immutable=self.immutable, app=self.app
        )
        made.links, made.error_links = [*self.links], [*self.error_links]
        if not self.immutable:
            made.args = (*(args or ()), *self.args)
            made.kwargs.update(kwargs or {})
        return made.set(**options)

    def partial(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> "Signature":
        """`clone`."""
        return self.clone(args, kwargs)

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> "AsyncResult":
        """Call it; options as for `apply_async` of a task. With a `link` or a `link_error` it is a
        plan, whose parts have no countdown."""
        one = self.clone(args, kwargs, **options)
        if one.links or one.error_links:
            return plant(one, self.app)
        sent: AsyncResult = self.app.send_task(one.task, one.args, one.kwargs, **one.options)
        return sent

    def apply(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run it here and now. Raises KeyError for a task whose code is not here."""
        one = self.clone(args, kwargs)
        return self.app.tasks[one.task].apply(one.args, one.kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, here and now. Raises KeyError for a task whose code is not here."""
        one = self.clone(args, kwargs)
        return self.app.tasks[one.task](*one.args, **one.kwargs)

    def __repr__(self) -> str:
        given = [*map(repr, self.args), *(f"{key}={value!r}" for key, value in self.kwargs.items())]
        return f"{self.task}({', '.join(given)})"
