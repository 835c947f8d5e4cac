"""Calls at the same time: `group`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from taskflow.celery.canvas import Canvas
from taskflow.celery.current import current_app
from taskflow.celery.planning import plant

if TYPE_CHECKING:
    from taskflow.celery.group_result import GroupResult


class Group(Canvas):
    """All members run, whatever becomes of the others; the result is the list of theirs."""

    def __init__(self, *members: Canvas | Iterable[Canvas], **options: Any) -> None:
        super().__init__(options)
        self.tasks: list[Canvas] = []
        for member in members:
            self.tasks += [member] if isinstance(member, Canvas) else member
        for one in self.tasks:
            if not isinstance(one, Canvas):
                raise TypeError(f"{one!r} is no member of a group; add.s(1), a chain or a group is")

    def partial(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> "Group":
        """Each member takes the arguments."""
        made = Group([one.partial(args, kwargs) for one in self.tasks], **self.options)
        made.links, made.error_links = [*self.links], [*self.error_links]
        return made

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> "GroupResult":
        """Store it and start it. Options: task_id, link_error; queue, expires and headers for those
        of its calls that say nothing else."""
        one = self.partial(args or (), kwargs or {}).set(**options)
        return cast("GroupResult", plant(one, current_app()))

    def __call__(self, *args: Any, **kwargs: Any) -> "GroupResult":
        """Call it, as `delay` does."""
        return self.apply_async(args, kwargs)

    def group(self) -> "Group":
        """Itself, as `chunks(...).group()` is written."""
        return self

    def __iter__(self) -> Iterator[Canvas]:
        return iter(self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)

    def __repr__(self) -> str:
        return f"group({self.tasks!r})"
