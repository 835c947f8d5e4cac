"""How the runs of a plan hang together: kept with each of them."""

from typing import Literal

import msgspec

from taskflow.message import Priority


class Link(msgspec.Struct, frozen=True, array_like=True):
    """Another run of the plan, the queue that its message goes to, its priority there, and how long
    (seconds) it waits after what is before it."""

    id: str
    queue: str
    priority: Priority | None = None
    delay: float = 0.0


class Up(msgspec.Struct, frozen=True, array_like=True):
    """The group that a run is a member of. `stops`: its failure is the group's. `starts`: what may
    begin when this one has ended. `counts`: a step of the run `group` counts its members (None: its
    own record does), and is over in this `generation` of the run."""

    group: Link
    stops: bool
    starts: Link | None = None
    counts: str | None = None
    generation: int = 2


class Members(msgspec.Struct, frozen=True, array_like=True):
    """What a group knows of its members: their runs are numbered from `first` on, `size` of them.
    `least` must succeed (None: all); `limit` begin at once (None: all)."""

    first: int
    size: int
    errors: Literal["stop", "collect"]
    least: int | None
    limit: int | None


class Place(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a run stands in its plan. `root` is the run that stands for all of it, `next` what
    follows when this one is done, `tail` the last of its chain, which fails with it; `takes` whose
    value is its first argument. `head` is where the chain begins that it is the last of, if it is a
    member of a group. `members`: it is a group. `on_error`: what is called if the plan
    fails, and `shape` tells the plan from others (both of the root). `depth`: how many
    runs wait for this one, and for those that do."""

    root: str
    next: Link | None = None
    tail: str | None = None
    up: Up | None = None
    takes: str | None = None
    head: Link | None = None
    members: Members | None = None
    on_error: "ErrorCall | None" = None
    shape: str | None = None
    depth: int = 0


class ErrorCall(msgspec.Struct, frozen=True, array_like=True):
    """A call that is made if the plan fails; its arguments are JSON. `immutable`: they are all."""

    task: str
    queue: str
    args: msgspec.Raw
    kwargs: msgspec.Raw
    immutable: bool = False


def member_id(root: str, number: int) -> str:
    """The id of a run of a plan, but for its root."""
    return f"{root}.{number}"
