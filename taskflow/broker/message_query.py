"""Looking for messages, wherever they lie: what is asked, and a page of what was found."""

from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

import msgspec

from taskflow.message import Delivery

MessageState = Literal["waiting", "delayed", "in_flight", "dead"]
"""`waiting`: it may be received now. `dead`: it was dead-lettered, and lies in a DLQ."""


class MessageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages to find: those that fit all that is given. Times in epoch seconds.

    Where several values are given, any of them will do; one that ends in `*` stands for all that
    begin so (`order.*`), in all fields but `states`, `keys` and `causes`. `queues` are where a
    message lies, `topics` under which it was published (empty text: it was sent to the queue).
    `ids` are its own; `groups` its message group; `keys` the key that its run
    holds. `text` is found in its body or
    its attributes, a failure record among them, whether letters are large or small; whoever may not
    see bodies must not be let ask for it. `sent_from` and `sent_before` are about when it was sent,
    `attempts_from` and `attempts_to` (both included) how often it was received, or was before it
    died.

    Of dead letters only, and with any of them nothing else is found: `sources` (the queues where
    they died), `handlers`, `errors` (`Cause.error`), `causes` (`Cause.id`), `died_from`,
    `died_before`.

    `newest` is stored last. `after` is `MessagePage.next` of the page before, of the same query;
    `limit` is 1 to 500. `top` is `MessagePage.top` of a page: with it that page is begun again,
    without what came since; `came` is the same, and asks for what came since. One of the three at
    most.
    """

    queues: Collection[str] = ()
    topics: Collection[str] = ()
    ids: Collection[str] = ()
    keys: Collection[str] = ()
    groups: Collection[str] = ()
    states: Collection[MessageState] = ()
    text: str | None = None
    sent_from: float | None = None
    sent_before: float | None = None
    attempts_from: int | None = None
    attempts_to: int | None = None
    sources: Collection[str] = ()
    handlers: Collection[str] = ()
    errors: Collection[str] = ()
    causes: Collection[str] = ()
    died_from: float | None = None
    died_before: float | None = None
    order: Literal["newest", "oldest"] = "newest"
    after: str | None = None
    top: str | None = None
    came: str | None = None
    limit: int = 100

    @property
    def of_letters(self) -> bool:
        """Whether only dead letters can fit."""
        return bool(
            tuple(self.states) == ("dead",)
            or self.sources
            or self.handlers
            or self.errors
            or self.causes
            or self.died_from is not None
            or self.died_before is not None
        )


class Found(NamedTuple):
    """A message, as `peek` shows it (without a receipt), and its state.

    Of a dead letter, `delivery.source` is where it died, `cause` the id of its `Cause`, `died_at`
    when, and `attempts` how often it had been received then; of others, how often it was.
    """

    delivery: Delivery
    state: MessageState
    attempts: int
    cause: str | None = None
    died_at: float | None = None


class MessagePage(NamedTuple):
    """What was found, and how far it looked.

    A look is bounded: it may find less than a page, or nothing, though there is more. `next` is
    what to ask `after` to go on, None at the end of all. `looked` is how many messages were looked
    at for this page, `since` when the last of them was stored (epoch seconds; None when all were
    looked at, or what was asked for has an index). `top` names the first message of it, for a later
    look; None when there is none.
    """

    messages: Sequence[Found]
    next: str | None
    looked: int
    since: float | None
    top: str | None = None
