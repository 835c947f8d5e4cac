"""When other code went out: what is marked in charts."""

from collections.abc import Sequence
from typing import NamedTuple

from taskflow.broker import Broker
from taskflow.broker.action import DEPLOY, ActionQuery
from taskflow.broker.history import Point
from taskflow.text import printable

MOST_MARKS = 8
LOOK_BACK = 5
"""Points; a release that none of so many before has is new, and marked, though it was there once:
code is taken back."""


class Deploy(NamedTuple):
    """When (epoch seconds), and what."""

    at: float
    name: str


def deploys_of(broker: Broker, points: Sequence[Point], since: float) -> list[Deploy]:
    """The last few since then, oldest first: what people marked, and releases that workers began to
    report; those of `points`, which are of all queues together."""
    if not broker.features.runs:
        return []
    query = ActionQuery(did=DEPLOY, at_from=since, limit=MOST_MARKS)
    marked = [Deploy(one.at, one.target or "") for one in broker.list_actions(query).actions]
    told = [one for one in points if one.releases]
    seen = [
        Deploy(one.at, name)
        for number, one in enumerate(told)
        if number > 0
        for name in one.releases
        if not any(name in before.releases for before in told[max(0, number - LOOK_BACK) : number])
    ]
    named = {one.name for one in marked}
    both = [*marked, *(one for one in seen if one.name not in named)]
    found = [Deploy(one.at, printable(one.name)) for one in both]
    return sorted(found)[-MOST_MARKS:]
