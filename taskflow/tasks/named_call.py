"""`send_task`: a call of a task by its name, for callers who have not got the code."""

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from taskflow.tasks.call_options import CallOptions, check_options
from taskflow.tasks.calling import Calling
from taskflow.tasks.defaults import default_queue
from taskflow.tasks.preparing import Target
from taskflow.tasks.result import Result


def send_task(
    name: str,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    **options: Unpack[CallOptions],
) -> Result[Any]:
    """Call a task by its name, without its code: nobody checks the arguments before it runs.
    Options and errors as for `Task.options` and `delay`; `queue` is the task's, if it is left out
    the one of tasks that name none. Raises ValueError for no name, TypeError for arguments in one
    text."""
    if not name:
        raise ValueError("send_task calls a task by its name, and '' is none")
    if isinstance(args, str | bytes):
        raise TypeError(f"args is {args!r}; a list of arguments is wanted")
    target = Target(name, (options.get("queue") or default_queue(),))
    calling: Calling[..., Any] = Calling(target, None, check_options(options))
    return calling.delay(*args, **(kwargs or {}))
