"""Calls at the same time, and what follows when all of them are done."""

from collections.abc import Iterable
from typing import Literal, get_args

from taskflow.tasks.canvas.chain import Chain, chain
from taskflow.tasks.canvas.node import Node

Errors = Literal["stop", "collect"]


class Group(Node):
    """Made by `group`, `chord` and `Task.map`. `least` is how many members must succeed, None for
    all."""

    def __init__(
        self,
        members: tuple[Node, ...],
        errors: Errors = "stop",
        least: int | None = None,
        limit: int | None = None,
    ) -> None:
        self.members = members
        self.errors = errors
        self.least = least
        self.limit = limit

    def __repr__(self) -> str:
        return f"<group of {len(self.members)}>"


def group(
    *nodes: Node | Iterable[Node],
    errors: Errors = "stop",
    tolerate: int | str = 0,
    min_success: int | None = None,
    limit: int | None = None,
) -> Group:
    """A plan whose members run at the same time; its result is the list of theirs, in order, and
    `[]` for none.

    `errors`: "stop", the first failure fails the group, and what has not begun is cancelled; or
    "collect", all run to their end, and the list holds `{"state": …, "value": …, "error": …}` of
    each. `tolerate`: so many may fail (a number, or "5%"), or `min_success` must not; then all run
    to their end, and failed members are None in the list. `limit`: how many run at once, at most.
    Raises ValueError for what cannot be.
    """
    members: list[Node] = []
    for node in nodes:
        members += [node] if isinstance(node, Node) or not isinstance(node, Iterable) else node
    for one in members:
        if not isinstance(one, Node):
            raise TypeError(f"{one!r} is no part of a plan; add.s(1), a chain or a group is")
    if errors not in get_args(Errors):
        raise ValueError(f"errors is {errors!r}; 'stop' and 'collect' are allowed")
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ValueError(f"limit is {limit!r}; a whole number, 1 or more")
    least = _least(len(members), tolerate, min_success)
    if errors == "collect" and least is not None:
        raise ValueError("errors='collect' tolerates all failures: leave the other out")
    return Group(tuple(members), errors, least, limit)


def chord(header: Group | Iterable[Node], body: Node) -> Chain:
    """A group, and what runs when all of it is done, with the list of results as its first
    argument: the same plan as `group(…) | body`."""
    return chain(header if isinstance(header, Group) else group(header), body)


def _least(size: int, tolerate: int | str, min_success: int | None) -> int | None:
    """How many must succeed; None for all, which is known at the first failure."""
    if min_success is not None:
        if tolerate:
            raise ValueError("give tolerate or min_success, not both")
        if type(min_success) is not int or not 0 <= min_success <= size:
            raise ValueError(f"min_success is {min_success!r}; 0 to {size}, the members there are")
        return min_success
    failures: float
    if isinstance(tolerate, str):
        try:
            share = float(tolerate.removesuffix("%")) if tolerate.endswith("%") else -1.0
        except ValueError:
            share = -1.0
        failures = size * share / 100
    else:
        failures = -1.0 if isinstance(tolerate, bool) else tolerate
    if not 0 <= failures <= size:
        raise ValueError(
            f"tolerate is {tolerate!r}; a number up to {size}, the members there are, or a share "
            "such as '5%'"
        )
    return size - int(failures) if failures else None
