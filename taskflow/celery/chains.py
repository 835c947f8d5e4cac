"""Calls one after the other, and groups with what follows them: `chain`, `chord`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from taskflow.celery.canvas import Canvas
from taskflow.celery.current import current_app
from taskflow.celery.planning import plant

if TYPE_CHECKING:
    from taskflow.celery.async_result import AsyncResult


class Chain(Canvas):
    """Each part runs when the one before it is done, with what that returned as its first argument.
    A chain in a chain is the same as if it had been written there."""

    def __init__(self, *parts: Canvas | Iterable[Canvas], **options: Any) -> None:
        super().__init__(options)
        self.tasks: list[Canvas] = []
        for part in parts:
            parts_of: Iterable[Canvas] = [part] if isinstance(part, Canvas) else part
            for one in parts_of:
                self._append(one)

    def _append(self, one: Canvas) -> None:
        if not isinstance(one, Canvas):
            raise TypeError(f"{one!r} is no part of a chain; add.s(1), a chain or a group is")
        if isinstance(one, Chain):
            self.tasks += one.tasks
            self.links += one.links
            self.error_links += one.error_links
            self.options |= one.options
        else:
            self.tasks.append(one)

    def partial(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> "Chain":
        """The first part takes the arguments."""
        first, *rest = self.tasks
        made = Chain(first.partial(args, kwargs), *rest, **self.options)
        made.links, made.error_links = [*self.links], [*self.error_links]
        return made

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> "AsyncResult":
        """Store it and start it; the result is that of its last part. Options: task_id, link,
        link_error; queue, expires and headers for those of its calls that say nothing else."""
        one = self.partial(args or (), kwargs or {}) if self.tasks else self
        return plant(one.set(**options), current_app())

    def __call__(self, *args: Any, **kwargs: Any) -> "AsyncResult":
        """Call it, as `delay` does."""
        return self.apply_async(args, kwargs)

    def apply(self, args: Sequence[Any] | None = None) -> Any:
        """Run it here and now; answers the result of the last part."""
        given = tuple(args or ())
        result = None
        for part in self.tasks:
            result = part.apply(given)
            given = (result.get(),)
        return result

    def __repr__(self) -> str:
        return " | ".join(map(repr, self.tasks))


def chord(header: Any, body: Canvas | None = None, **options: Any) -> Any:
    """A group, and what runs when all of it is done, with the list of what its members returned.
    Without a body it waits for one: `chord(header)(body)` calls it."""
    from taskflow.celery.groups import Group

    group = header if isinstance(header, Group) else Group(header)
    if body is not None:
        return Chain(group, body, **options)
    return lambda body, **more: Chain(group, body, **options).apply_async(**more)
