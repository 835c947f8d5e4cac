"""What a broker may do beside its protocol: hand what waits in its queues over to another one."""

from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import msgspec

HANDOVER = "handover"
"""The kind of the records that say which batches are on their way to another broker."""


class Handed(msgspec.Struct, frozen=True):
    """A message on its way from one broker to another, as it was before.

    `number` is that of its row in the broker that it leaves. `source` names the queue that a dead
    letter came from. `receipt` is there when its last lease lapsed: it may have killed that worker.
    `attributes` and `extra` are JSON, as stores keep them (`stores.message_columns`).
    """

    number: int
    id: str
    topic: str
    body: str
    attributes: str
    extra: str | None
    sent_at: float
    visible_at: float
    receive_count: int = 0
    first_received_at: float | None = None
    receipt: int | None = None
    source: str | None = None
    level: int | None = None
    slot: str | None = None


class Place(NamedTuple):
    """How far a queue was looked through, and which of its message groups stay, since one before
    them does. (Of a broker over several files: how far in which of them.)"""

    after: int = -1
    groups: frozenset[str] = frozenset()
    file: int = 0


START = Place()


class Lot(NamedTuple):
    """Messages that were handed out together; where to go on, None at the end of the queue; how
    many were left where they are: received and hidden, or behind such a one in a group
    (`in_flight`), or of a run, which takes its messages along when it leaves (`of_runs`)."""

    messages: Sequence[Handed]
    place: Place | None
    in_flight: int = 0
    of_runs: int = 0


class Batch(NamedTuple):
    """A batch that was handed out and not let go yet; `to` is who was to take it in."""

    id: str
    queue: str
    to: str


class Finished(NamedTuple):
    """An event that a queue finished, and until when it remembers that."""

    id: str
    topic: str
    expires_at: float


class Known(NamedTuple):
    """What a FIFO queue or topic deduplicates by: the message that stands for a deduplication id
    until then. `group` is "/" and the message group where each has ids of its own, else empty."""

    group: str
    key: str
    id: str
    sequence: int
    expires_at: float


@runtime_checkable
class Handover(Protocol):
    """A broker whose messages can be handed over, and that takes in those of others.

    A batch has three steps, each a change of its own: `hand_out` here, `take_in` there, `let_go`
    here. Each may be repeated under the id of the batch, by whoever comes after a crash: a batch is
    taken in once. Until it is let go, what was handed out is hidden here, for an hour; after that
    it may be received here again. Names and errors are those of `Admin`.
    """

    def batches(self) -> list[Batch]:
        """Those on their way, oldest first."""
        ...

    def hand_out(self, batch: str, queue: str, to: str, limit: int, place: Place = START) -> Lot:
        """Hide up to `limit` messages, in the order of sending, due or not and whether the queue is
        paused or not, and note them as this batch (`Lot`). Without any there is no batch."""
        ...

    def hand_again(self, batch: str) -> list[Handed]:
        """The messages of a batch, as they were before it; without those that were received here
        since. Nothing for a batch that was let go."""
        ...

    def take_in(self, batch: str, queue: str, messages: Sequence[Handed]) -> list[int]:
        """Store messages of another broker, all or none, as they are and in this order, but for
        those that the queue holds (same id and topic); answers their numbers. A batch that was
        taken in within 14 days is not stored again, and is answered as it was then. (Over several
        files all or none of each file, and the rest when it is repeated.)"""
        ...

    def let_go(self, batch: str, numbers: Collection[int]) -> None:
        """Remove these messages, and the batch."""
        ...

    def finished_after(self, queue: str, last: tuple[str, str], limit: int) -> list[Finished]:
        """What a queue has finished and still remembers, by id and topic, from behind `last` on."""
        ...

    def remember_finished(self, queue: str, events: Sequence[Finished]) -> None:
        """Have a queue remember these, at least so long."""
        ...

    def known_after(
        self, kind: Literal["queue", "topic"], name: str, last: tuple[str, str], limit: int
    ) -> list[Known]:
        """What a FIFO queue or topic deduplicates by, by group and key, from behind `last` on."""
        ...

    def remember_known(
        self, kind: Literal["queue", "topic"], name: str, known: Sequence[Known]
    ) -> None:
        """Have it deduplicate by these too, where it has none of the same key."""
        ...
