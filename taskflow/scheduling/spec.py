"""What a schedule says: when, what, and what to do when it cannot be as planned."""

from typing import Literal, get_args

import msgspec

from taskflow.scheduling.missed_ticks import Missed
from taskflow.scheduling.timing import Timing
from taskflow.tasks.preparing import Target
from taskflow.tasks.run import NO_ARGS, NO_KWARGS, NULL

Overlap = Literal["skip", "allow", "queue", "cancel"]
MISSED: tuple[Missed, ...] = get_args(Missed)
OVERLAPS: tuple[Overlap, ...] = get_args(Overlap)


class Spec(msgspec.Struct, gc=False, frozen=True, kw_only=True, omit_defaults=True):
    """`task` is called with `args` and `kwargs`, or `payload` is published to `topic`. `catchup`
    None is its default (`missed_ticks.what_is_due`). Durations in seconds."""

    timing: Timing
    missed: Missed = "last"
    catchup: float | None = None
    overlap: Overlap = "skip"
    jitter: float = 0.0
    task: Target | None = None
    args: msgspec.Raw = NO_ARGS
    kwargs: msgspec.Raw = NO_KWARGS
    topic: str | None = None
    payload: msgspec.Raw = NULL

    @property
    def label(self) -> str:
        """What it is listed by: the task's name, or the topic."""
        return self.task.name if self.task is not None else self.topic or ""

    @property
    def size(self) -> int:
        """Bytes of what it sends each time, without what names it."""
        return len(bytes(self.args)) + len(bytes(self.kwargs)) + len(bytes(self.payload))

    def same_as(self, other: "Spec") -> bool:
        """Whether both say the same, however much of what is usual is written out."""
        one, two = _write(self), _write(other)
        return one == two or _read(one) == _read(two)


_write = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(Spec).decode
