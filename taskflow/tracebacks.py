"""Tracebacks as text, of which the same lines come again and again."""

import traceback
from functools import lru_cache
from typing import Any


class _Frames(traceback.StackSummary):
    """As the library writes frames, each place once: for the marks below a line it parses that."""

    def format_frame_summary(self, frame_summary: traceback.FrameSummary, **how: Any) -> str:
        return _format(_Place(frame_summary), tuple(how.items()))


class _Place:
    """A frame, equal to others of the same place, as long as its line is the same."""

    __slots__ = ("_key", "frame")

    def __init__(self, frame: traceback.FrameSummary) -> None:
        self.frame = frame
        end, columns = frame.end_lineno, (frame.colno, frame.end_colno)
        self._key = (frame.filename, frame.lineno, frame.name, frame.line, end, columns)

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Place) and self._key == other._key


@lru_cache(1024)
def _format(place: _Place, how: tuple[tuple[str, Any], ...]) -> str:
    return traceback.StackSummary().format_frame_summary(place.frame, **dict(how))


def format_exception(error: BaseException) -> str:
    """What `traceback.format_exception` gives, in one piece."""
    found = traceback.TracebackException.from_exception(error, compact=True)
    _write_each_once(found)
    return "".join(found.format())


def _write_each_once(found: traceback.TracebackException) -> None:
    todo = [found]
    while todo:
        one = todo.pop()
        one.stack = _Frames(one.stack)
        others = (one.__cause__, one.__context__, *(getattr(one, "exceptions", None) or ()))
        todo += [other for other in others if other is not None]
