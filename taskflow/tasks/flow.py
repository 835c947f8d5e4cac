"""What a task shares among all workers: how many of its calls run at once, how many start in a
second, for all of it or for each value of an argument."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from taskflow.broker.settings import Limit
from taskflow.entry_options import parse_rate
from taskflow.errors import RegistrationError
from taskflow.limits import MAX_SLOT
from taskflow.tasks.parameters import Parameters

LimitOption = int | tuple[str | Sequence[str], int]
"""`10`: so many at once. `("customer_id", 2)`: so many for each value of that argument."""
RateOption = str | float | tuple[str | Sequence[str], str | float]
"""`"10/s"`: of all starts. `("customer_id", "10/s")`: of those with each value of that argument."""


class Flow(msgspec.Struct, frozen=True):
    """The limits of a task's slots, and by which arguments they go (none: one slot for all)."""

    limit: Limit
    by: tuple[str, ...] = ()

    def slot(
        self, task: str, parameters: Parameters, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> str:
        """Where a call with these arguments counts (`Message.slot`)."""
        if not self.by:
            return task
        key = parameters.key(task, self.by, args, kwargs)
        key = key if key.isprintable() else ascii(key)[1:-1]
        if len(task) + 1 + len(key) > MAX_SLOT:
            key = hashlib.sha256(key.encode()).hexdigest()
        return f"{task}\n{key}"


class Shares(NamedTuple):
    """The options `limit` and `rate` of a task, read: a rate of all starts is its queue's."""

    flow: Flow | None
    rate: str | float | None


def read_shares(limit: LimitOption | None, rate: RateOption | None) -> Shares:
    """The options as they were given. Raises RegistrationError for what cannot be."""
    by: tuple[str, ...] | None = None
    most = per_second = None
    if limit is not None:
        by, count = _by("limit", limit)
        if type(count) is not int or count < 1:
            raise RegistrationError(
                f"limit is {limit!r}; a whole number, 1 or more, or an argument's name and one: "
                "('customer_id', 2)"
            )
        most = count
    if isinstance(rate, tuple):
        rate_by, given = _by("rate", rate)
        if by is not None and by != rate_by:
            raise RegistrationError(
                f"limit= goes by {_said(by)} and rate= by {_said(rate_by)}; one task counts by the "
                "same arguments"
            )
        by, per_second, rate = rate_by, parse_rate(given), None
    if by is None:
        return Shares(None, rate)
    return Shares(Flow(Limit(most, per_second), by), rate)


def check_names(what: str, task: str, by: Sequence[str], parameters: Parameters) -> None:
    """Raise RegistrationError for arguments that the task has not."""
    known = list(parameters.decoders)
    if unknown := [name for name in by if name not in known]:
        raise RegistrationError(
            f"{what} of {task} goes by {_said(unknown)}; its arguments are {_said(known)}"
        )


def names_of(what: str, given: str | Sequence[str]) -> tuple[str, ...]:
    """The names of arguments, one or several. Raises RegistrationError for none."""
    names = (given,) if isinstance(given, str) else tuple(given)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise RegistrationError(f"{what} is {given!r}; the name of an argument, or several")
    return names


def _by(what: str, given: Any) -> tuple[tuple[str, ...], Any]:
    if not isinstance(given, tuple):
        return (), given
    if len(given) != 2:
        raise RegistrationError(f"{what} is {given!r}; an argument's name, and how many")
    return names_of(what, given[0]), given[1]


def _said(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names)) or "no argument"
