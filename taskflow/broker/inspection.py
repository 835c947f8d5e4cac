"""Inspection: what an operator sees of messages, wherever they lie, and does with dead letters."""

from collections.abc import Collection
from typing import Protocol

from taskflow.broker.action import Action, ActionPage, ActionQuery
from taskflow.broker.cause import Cause
from taskflow.broker.history import Point, Span
from taskflow.broker.message_query import MessagePage, MessageQuery
from taskflow.message import Delivery, Message


class Inspection(Protocol):
    """Finding messages, counting dead letters by cause, what was, and who did what.

    Thread-safe. Every verb raises BrokerUnavailable when the broker cannot be used, and
    TopicNotFound or QueueNotFound for names that were never declared; then nothing was changed.
    A broker without `features.inspection` has `history`, `note_history`, `note_action` and
    `list_actions` if it has `features.runs`, and refuses the others with LimitExceeded.
    """

    def find(self, query: MessageQuery) -> MessagePage:
        """A page of messages, in all queues or some. What is past its queue's retention is not
        found. Raises QueueNotFound for a queue that is named whole; LimitExceeded for a limit, a
        state, a text (1 to 1,000 characters) or a place that cannot be.

        Ids, keys, groups, states and all that is about dead letters go by an index as long as few
        (10,000) messages fit; whatever else is asked, and what more fit, looks at 10,000 messages
        at most, in order, and says so. Words are looked for in 16 MiB, a page holds 8 MiB, and one
        message more. Nothing is lost or shown twice from page to page of what stays where it is."""
        ...

    def causes(self, queue: str | None = None) -> list[Cause]:
        """Dead letters by cause, the most first: of one DLQ, or of all. The counts are kept, with
        every change of the letters: it costs the same for one letter and for a million."""
        ...

    def history(self, span: Span = "hour", queues: Collection[str] = ()) -> dict[str, list[Point]]:
        """What queues looked like, oldest point first: those given, or all that have a point, and
        `history.EVERYTHING`."""
        ...

    def note_history(self) -> bool:
        """Write down how all queues look now, if a minute has passed since that was done, and drop
        what is kept no longer; whether it was done. Of all who call it one does it."""
        ...

    def note_action(self, action: Action) -> str:
        """Add to the record of who did what; answers the id. What is over a line long is cut."""
        ...

    def list_actions(self, query: ActionQuery = ...) -> ActionPage:
        """Who did what, the newest first."""
        ...

    def resend(self, queue: str, id: str, message: Message) -> str:
        """In place of the dead letter `id` of the DLQ `queue` store `message` in the queue where
        it died, under the letter's topic: in one change the letter goes and the message, which has
        another id, is there. Answers that id. Its group is the letter's, if it has none.
        `taskflow.wire.resending.edited` makes such a message of a letter; it has the letter's id as
        its attribute `message.CAUSED_BY`.

        Raises MessageNotFound when there is no such letter, or where it came from is gone;
        LimitExceeded when the message has the letter's id, or that of one that is there, or another
        group on a FIFO queue, or does not fit; and when somebody holds the letter (`lend`)."""
        ...

    def transfer(self, queue: str, ids: Collection[str], to: str) -> int:
        """Move these dead letters of the DLQ `queue` into another queue, to be handled there as
        new; answers how many. Those that somebody holds stay. Raises LimitExceeded when one of
        the queues is FIFO and the other is not."""
        ...

    def lend(self, queue: str, id: str, seconds: float) -> Delivery:
        """Hold the message `id` of `queue` for so long, as nobody else's: it is not received,
        redriven, moved or sent anew meanwhile (`purge` and `delete_queue` still remove it). It
        counts as no receive. `change_visibility` with 0 gives it back. Raises MessageNotFound;
        LimitExceeded when somebody holds it."""
        ...
