"""One call of a task in a plan: `add.s(1, 2)`."""

from collections.abc import Mapping
from typing import Any, Unpack

from taskflow.limits import is_fifo
from taskflow.tasks.call_options import CallOptions, Checked, check_options
from taskflow.tasks.canvas.node import Node
from taskflow.tasks.preparing import Target, queue_of

MOST_DELAY = 86400.0
"""Seconds that a part of a plan may wait at most after what is before it."""
_MAY_BE = ("queue", "delay", "expires", "group", "tenant", "priority", "headers")


class Call(Node):
    """Made by `Task.s` and `Task.si`. `immutable`: it does not take what came before it. The
    arguments are JSON."""

    def __init__(
        self,
        target: Target,
        args: bytes,
        kwargs: bytes,
        *,
        immutable: bool = False,
        options: Checked | None = None,
    ) -> None:
        self.target = target
        self.args = args
        self.kwargs = kwargs
        self.immutable = immutable
        self.chosen = options or Checked(priority=target.defaults.priority)
        self.queue = queue_of(target, self.chosen)
        if is_fifo(self.queue):
            raise ValueError(
                f"{target.name} has the FIFO queue {self.queue!r}, whose order is not that of a "
                "plan; use a standard queue"
            )

    def options(self, **options: Unpack[CallOptions]) -> "Call":
        """The call with a queue, a delay after what is before it (a day at most), an expiry, a
        group or tenant, a priority, or headers. Raises ValueError for what only a call of its own
        may have."""
        _check(options)
        chosen = check_options(options, self.chosen)
        if chosen.delay > MOST_DELAY:
            raise ValueError(
                f"delay is {chosen.delay:g} s; {MOST_DELAY:g} s at most in a plan: call what comes "
                "later by a call of its own"
            )
        return Call(self.target, self.args, self.kwargs, immutable=self.immutable, options=chosen)

    def __repr__(self) -> str:
        return f"<call of {self.target.name}>"


def _check(options: Mapping[str, Any]) -> None:
    if refused := [name for name in options if name not in _MAY_BE]:
        raise ValueError(
            f"a call in a plan has no {', '.join(map(repr, refused))}; it may have "
            f"{', '.join(_MAY_BE)}"
        )
