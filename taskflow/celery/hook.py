"""`app.on_after_configure`: functions that are called with the app, once, when it is asked for what
they add."""

from collections.abc import Callable
from typing import Any


class Hook:
    """Functions are connected; each is called once."""

    def __init__(self) -> None:
        self._functions: list[Callable[..., Any]] = []

    def connect(self, function: Callable[..., Any] | None = None, **_: Any) -> Any:
        """Call this function when it is time; a decorator, with and without parentheses."""
        if function is None:
            return self.connect
        self._functions.append(function)
        return function

    def send(self, sender: Any) -> None:
        """It is time."""
        functions, self._functions = self._functions, []
        for function in functions:
            function(sender=sender)
