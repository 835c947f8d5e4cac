"""Taking back what is on its way to a broker that is gone for good."""

from typing import NamedTuple

from taskflow.broker import Broker
from taskflow.broker.tree_handover import TreeHandover


class OnTheWay(NamedTuple):
    """How many batches of trees have left for the broker of the id `to` and were not let go, and
    how many trees are in them."""

    to: str
    batches: int
    trees: int


class GivenUp(NamedTuple):
    """How many trees are in use again, and the roots of those that stay on their way, since
    something of them was made here meanwhile."""

    back: int
    stay: list[str]


def on_the_way(source: Broker) -> list[OnTheWay]:
    """What has left `source` and did not arrive, as far as is known there; by broker."""
    if not isinstance(source, TreeHandover):
        return []
    found: dict[str, OnTheWay] = {}
    for batch in source.tree_batches():
        before = found.get(batch.to, OnTheWay(batch.to, 0, 0))
        trees = before.trees + len(source.hand_trees_again(batch.id))
        found[batch.to] = OnTheWay(batch.to, before.batches + 1, trees)
    return sorted(found.values())


def give_up(source: Broker, to: str) -> GivenUp:
    """Put all that is on its way to this broker back into use at `source`, one change for each
    batch. Repeat it when it was interrupted, and for those that stay once what is in their place is
    gone. Nobody may copy there meanwhile, nor begin at `to` what has arrived: it is in use twice
    then."""
    back, stay = 0, list[str]()
    if isinstance(source, TreeHandover):
        for batch in source.tree_batches():
            if batch.to == to:
                roots = [one.root for one in source.hand_trees_again(batch.id)]
                left = source.let_trees_go(batch.id, roots)
                back, stay = back + len(roots) - len(left), [*stay, *left]
    return GivenUp(back, stay)
