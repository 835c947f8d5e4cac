"""Calls at the same time, and what follows when all of them are done."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain as joined
from itertools import islice
from typing import Literal, get_args

from taskflow.tasks.canvas.chain import Chain, chain
from taskflow.tasks.canvas.node import Node

Errors = Literal["stop", "collect"]


HELD = 10_000
"""Members of an iterator that are made with the group; those after them, when it is stored. So many
of a group that long run at once at most."""


class Group(Node):
    """Made by `group`, `chord` and `Task.map`. `rest`: members after these that nobody has made
    yet. `stops`: the first failure is the group's."""

    def __init__(
        self,
        members: list[Node],
        errors: Errors = "stop",
        tolerate: int | str = 0,
        min_success: int | None = None,
        limit: int | None = None,
        rest: Iterator[Node] | None = None,
    ) -> None:
        self.members = members
        self.errors = errors
        self.limit = limit
        self.rest = rest
        self._taken = False
        self._tolerate = tolerate
        self._min_success = min_success
        least = self.least(len(members) if rest is None else 2**63)
        if errors == "collect" and least is not None:
            raise ValueError("errors='collect' tolerates all failures: leave the other out")
        self.stops = errors == "stop" and least is None

    def least(self, size: int) -> int | None:
        """How many of so many members must succeed; None for all. Raises ValueError for what cannot
        be."""
        return _least(size, self._tolerate, self._min_success)

    @property
    def at_once(self) -> int:
        """How many run at once at most of a group whose members are made as it is stored."""
        return min(self.limit or HELD, HELD)

    def each(self) -> Iterator[Node]:
        """All members, of which an iterator makes those that are not there for the only time."""
        if self.rest is None or self._taken:
            raise RuntimeError(
                f"{self!r} was made of an iterator, and is stored already; make it anew, or of a "
                "list"
            )
        self._taken = True
        return joined(self.members, self.rest)

    def walk(self) -> Iterator[Node]:
        """The members as far as somebody looks at them; those that are made for that are kept."""
        yield from self.members
        while self.rest is not None and not self._taken:
            self._taken = True  # an iterator that raises has not made all of them, and never will
            node = next(self.rest, None)
            self._taken = False
            if node is None:
                return
            self.members.append(node)
            yield node

    def held(self) -> Sequence[Node]:
        """All members, which are kept from now on."""
        if self.rest is not None:
            self.members, self.rest = list(self.each()), None
        return self.members

    def __repr__(self) -> str:
        return f"<group of {len(self.members)}{'' if self.rest is None else ' and more'}>"


def group(
    *nodes: Node | Iterable[Node],
    errors: Errors = "stop",
    tolerate: int | str = 0,
    min_success: int | None = None,
    limit: int | None = None,
) -> Group:
    """A plan whose members run at the same time; its result is the list of theirs, in order, and
    `[]` for none.

    Of an iterator 10,000 nodes are made at once, and those after them when the plan is stored,
    which it can be once: some at a time, so that nobody holds them all (unless the plan has an id
    of its own, or is stored from within a task). So many of a group that long run at once at most.
    `errors`: "stop", the first failure fails the group, and what has not begun is cancelled; or
    "collect", all run to their end, and the list holds `{"state": …, "value": …, "error": …}` of
    each. `tolerate`: so many may fail (a number, or "5%"), or `min_success` must not; then all run
    to their end, and failed members are None in the list. `limit`: how many run at once, at most.
    Raises ValueError for what cannot be.
    """
    if errors not in get_args(Errors):
        raise ValueError(f"errors is {errors!r}; 'stop' and 'collect' are allowed")
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ValueError(f"limit is {limit!r}; a whole number, 1 or more")
    every = map(_checked, joined.from_iterable(map(_spread, nodes)))
    lazy = any(isinstance(one, Iterator) for one in nodes)
    members = list(islice(every, HELD) if lazy else every)
    more = next(every, None)
    rest = None if more is None else joined([more], every)
    return Group(members, errors, tolerate, min_success, limit, rest)


def _spread(node: Node | Iterable[Node]) -> Iterable[Node]:
    return node if isinstance(node, Iterable) and not isinstance(node, Node) else (node,)


def _checked(node: object) -> Node:
    if not isinstance(node, Node):
        raise TypeError(f"{node!r} is no part of a plan; add.s(1), a chain or a group is")
    return node


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
