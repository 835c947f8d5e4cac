"""What the message of a task looks like, which any SQS client can write.

    {"task": "shop.mail.send", "args": ["ord_1"], "kwargs": {"urgent": true}}

`args` and `kwargs` may be left out; `expires` (epoch seconds), `headers` (text by name), `result`
(for how long the result is kept: seconds, or text such as "1d") and `tick` (the time that a
schedule planned it for) may be there. With `result` the first worker that sees it makes a run of
it, whose id is that of the message. A run's message names the run, and the task
and its arguments are in its record:

    {"run": "0198…", "generation": 1}
"""

from collections.abc import Mapping

import msgspec

from taskflow.errors import DecodeError
from taskflow.message import Delivery
from taskflow.tasks.run import NO_ARGS, NO_KWARGS

BEGINNINGS = _TASK, _RUN = '{"task":', '{"run":'
"""How the bodies that are written here begin."""


class TaskBody(msgspec.Struct, kw_only=True, gc=False):
    """A call of a task without a run; or, with `run` and `generation`, one that has one."""

    task: str | None = None
    args: msgspec.Raw = NO_ARGS
    kwargs: msgspec.Raw = NO_KWARGS
    expires: float | None = None
    headers: Mapping[str, str] = {}
    result: float | str | None = None
    tick: float | None = None
    run: str | None = None
    generation: int = 0


_read = msgspec.json.Decoder(TaskBody).decode
_write = msgspec.json.Encoder().encode


def task_body(task: str, args: bytes, kwargs: bytes, tick: float | None = None) -> str:
    """The body of a call without a run; the arguments are JSON."""
    named = b',"kwargs":' + kwargs if kwargs != b"{}" else b""
    planned = b"" if tick is None else b',"tick":%s' % _write(tick)
    text = (_TASK.encode(), _write(task), b',"args":', args, named, planned, b"}")
    return b"".join(text).decode()


def run_body(run: str, generation: int) -> str:
    """The body of a run's message."""
    return f'{_RUN}{_write(run).decode()},"generation":{generation}}}'


def is_task_body(body: str) -> bool:
    """Whether a body is a task's: an event has a `specversion`, and no task."""
    if body.startswith(BEGINNINGS):
        return True
    if not ('"task"' in body or '"run"' in body) or '"specversion"' in body:
        return False
    try:
        found = _read(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return found.task is not None or (found.run is not None and found.generation > 0)


def read_body(delivery: Delivery) -> TaskBody:
    """What is in a task's message. Raises DecodeError when it does not say."""
    try:
        found = _read(delivery.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"the body is no call of a task: {error}") from None
    if (found.task is None) == (found.run is None):
        raise DecodeError("the body is no call of a task: it names a task or a run")
    if delivery.expires_at is not None:
        found.expires = delivery.expires_at
    if delivery.headers:
        found.headers = delivery.headers
    return found
