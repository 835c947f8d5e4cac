"""Who did what: the record of what people changed, which is only ever added to."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

KEPT_FOR = 90 * 86400.0
"""Seconds for which actions are kept, the last 10,000 of them."""


DEPLOY = "deploy"
"""What somebody did who marks that other code, `Action.target`, is out from now on."""


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """Something that somebody did. It holds no body and no attribute of a message.

    `who` is a name of the host application's, or of the operating system; `did` a word (`redrive`,
    `delete`, `move`, `resend`, `pause`, `resume`, `debug`, `cancel`, `show bodies` ...). `queue` is
    where, `target` to what (an id, a cause, a filter, a schedule), `count` to how many; `via` is
    `cli` or `dashboard`, `host` from where. `result` says how it ended, if not well. `at` (epoch
    seconds) and `id` are set when it is noted.
    """

    who: str
    did: str
    queue: str | None = None
    target: str | None = None
    count: int | None = None
    via: str | None = None
    host: str | None = None
    result: str | None = None
    at: float = 0.0
    id: str = ""


class ActionQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which actions to list, newest first: those that fit all that is given. `at_from` is included,
    `at_before` is not. `after` is `ActionPage.next` of the page before; `limit` is 1 to 1000."""

    who: str | None = None
    did: str | None = None
    queue: str | None = None
    at_from: float | None = None
    at_before: float | None = None
    after: str | None = None
    limit: int = 100


class ActionPage(NamedTuple):
    """A page of actions, and what to ask `after` for the next one; None at the end."""

    actions: Sequence[Action]
    next: str | None
