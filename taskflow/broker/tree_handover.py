"""What a broker may do beside its protocol: hand over records that belong together, whole."""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import msgspec

from taskflow.broker.handover import Handed
from taskflow.broker.record import Record

TREES = "handover-trees"
"""The kind of the records that hold trees on their way to another broker."""


class Seen(NamedTuple):
    """A record as it was read: whatever has changed it since has changed one of the two numbers."""

    kind: str
    key: str
    version: int
    counted: int


class Asked(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """A tree that is to leave: the record `root`, with all of it that was `seen`, and of the kinds
    `parts` nothing else whose parent it is; the `keys` that these holders have (key, holder); the
    messages of these ids, by queue, as far as they are there. `beside` are (kind, key) of records
    that the other broker must not have either. (Of a broker over several files, `elsewhere` are
    keys, and `strays` records, that lie in another file than the root.)"""

    root: str
    seen: Sequence[Seen]
    parts: Sequence[str] = ()
    keys: Sequence[tuple[str, str]] = ()
    messages: Sequence[tuple[str, Sequence[str]]] = ()
    beside: Sequence[tuple[str, str]] = ()
    elsewhere: "Sequence[HeldKey]" = ()
    strays: Sequence[Record] = ()


class HeldKey(NamedTuple):
    """A key, who has it, and until when; None for good."""

    key: str
    holder: str
    until: float | None


class QueuedMessage(NamedTuple):
    """A message and the queue that holds it."""

    queue: str
    message: Handed


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """A tree on its way from one broker to another, as it was before. Its keys that lie `elsewhere`
    and its `strays` are still where it comes from, until it is let go."""

    root: str
    records: list[Record]
    keys: list[HeldKey] = []
    messages: list[QueuedMessage] = []
    beside: list[tuple[str, str]] = []
    elsewhere: list[HeldKey] = []
    strays: list[Record] = []


class TreeBatch(NamedTuple):
    """Trees that left together and were not let go yet; `to` is who was to take them in."""

    id: str
    to: str


@runtime_checkable
class TreeHandover(Protocol):
    """A broker whose trees of records can be handed over, and that takes in those of others.

    A batch has three steps, each one change: `hand_out_trees` here, `take_in_trees` there,
    `let_trees_go` here. Each may be repeated under the id of the batch, by whoever comes after a
    crash. From the first on nobody finds a tree here; it is in the batch's record until the third.
    """

    def tree_batches(self) -> list[TreeBatch]:
        """Those on their way, oldest first."""
        ...

    def hand_out_trees(self, batch: str, to: str, asked: Sequence[Asked]) -> dict[str, list[Tree]]:
        """Take these trees out of use, into the record of this batch; without those of which
        anything is other than it was seen, or whose message is in flight or has others of its group
        before it. Answers the trees by their batch: without any there is none, and over several
        files there is one for each of them, whose id begins with this one."""
        ...

    def scattered(self, asked: Sequence[Asked]) -> set[str]:
        """The roots of those that are not handed out, since messages of theirs, or records of the
        root's kind, lie in other files than the root; of a broker of one file, none."""
        ...

    def hand_trees_again(self, batch: str) -> list[Tree]:
        """The trees of a batch; none of one that was let go."""
        ...

    def take_in_trees(self, batch: str, trees: Sequence[Tree]) -> list[str]:
        """Store trees of another broker as they are, all in one change, but for those of which
        something is here (a record, a key of somebody else), or whose queue is not. Answers the
        roots of those. A batch that was taken in before changes nothing, and is answered as it was
        then."""
        ...

    def let_trees_go(self, batch: str, back: Collection[str]) -> list[str]:
        """Forget the batch, but put these trees back into use. Answers the roots of those that
        stay in the batch, since something of them was made here meanwhile."""
        ...
