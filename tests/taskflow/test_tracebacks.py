"""Tracebacks read as those of the library, however often the same place has failed."""

import linecache
import traceback
from collections.abc import Callable

import pytest

from taskflow.tracebacks import format_exception


def deep(count: int) -> int:
    return deep(count - 1) if count else [][count]


def with_cause() -> None:
    try:
        deep(2)
    except IndexError as error:
        raise ValueError("of that") from error


def in_another() -> None:
    try:
        deep(1)
    except IndexError:
        raise KeyError("meanwhile")  # noqa: B904


def several() -> None:
    found: list[Exception] = []
    for call in (with_cause, in_another):
        try:
            call()
        except Exception as error:
            found.append(error)
    raise ExceptionGroup("all of these", found)


def of_no_line() -> None:
    exec(compile("\n\n1 / 0", "<nowhere>", "exec"), {})


@pytest.mark.parametrize("call", [lambda: deep(6), with_cause, in_another, several, of_no_line])
def test_they_are_those_of_the_library(call: Callable[[], object]) -> None:
    for _ in range(2):
        with pytest.raises(Exception) as raised:  # noqa: PT011
            call()
        assert format_exception(raised.value) == "".join(traceback.format_exception(raised.value))


def test_a_line_that_was_changed_is_shown_as_it_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    code = compile("raise KeyError", "<changed>", "exec")
    for text in ("raise KeyError", "raise an error"):
        monkeypatch.setitem(linecache.cache, "<changed>", (14, None, [text], "<changed>"))
        with pytest.raises(KeyError) as raised:
            exec(code, {})
        assert text in format_exception(raised.value)
