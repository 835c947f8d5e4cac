"""What signatures, chains, groups and chords have in common."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from taskflow.celery.call_words import refused_attribute
from taskflow.celery.not_ported import refuse

if TYPE_CHECKING:
    from taskflow.celery.async_result import AsyncResult
    from taskflow.celery.chains import Chain


class Canvas:
    """Plain data, which may be put together, and called as often as you like. `links` run when it
    is done, `error_links` when it has failed."""

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        self.options = dict(options or {})
        self.links = _listed(self.options.pop("link", None))
        self.error_links = _listed(self.options.pop("link_error", None))

    def delay(self, *args: Any, **kwargs: Any) -> "AsyncResult":
        """Call it. Arguments given now come before its own."""
        return self.apply_async(args, kwargs)

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> "AsyncResult":
        """The same with options."""
        raise NotImplementedError

    def partial(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> "Canvas":
        """The same with these arguments before its own."""
        raise NotImplementedError

    def __or__(self, other: "Canvas") -> "Chain":
        """This, then the other, which gets what this returned. After a group: a chord."""
        from taskflow.celery.chains import Chain

        if not isinstance(other, Canvas):
            return NotImplemented
        return Chain(self, other)

    def __invert__(self) -> Any:
        """Call it, and wait for what it returns."""
        return self.delay().get()

    def set(self, **options: Any) -> Self:
        """Change its options; answers itself."""
        self.links += _listed(options.pop("link", None))
        self.error_links += _listed(options.pop("link_error", None))
        self.options.update(options)
        return self

    def link(self, other: "Canvas") -> "Canvas":
        """Run `other` when this is done, with what it returned; answers `other`."""
        self.links.append(other)
        return other

    def link_error(self, other: "Canvas") -> "Canvas":
        """Run `other` when this has failed, with a dict that says what went wrong (`si`: without);
        answers `other`."""
        self.error_links.append(other)
        return other

    def on_error(self, other: "Canvas") -> Self:
        """`link_error`, answering itself."""
        self.error_links.append(other)
        return self

    def stamp(self, *_: Any, **__: Any) -> None:
        """Refused."""
        raise refuse("stamp")

    def __getattr__(self, name: str) -> Any:
        raise refused_attribute(type(self).__name__, name, {"replace": "Task.replace"})


def _listed(given: Any) -> list[Any]:
    if given is None:
        return []
    return list(given) if isinstance(given, list | tuple) else [given]
