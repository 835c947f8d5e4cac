"""Records: what is kept beside messages (runs, steps, schedules), by kind and key."""

from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A record as it is stored. Times in epoch seconds.

    `version` is a number that no other state of a record of this kind and key had: it is what a
    `Put` names to say "as I saw it". `value` is text (JSON, for all that taskflow keeps). `parent`,
    `label` and `state` are what records are listed by, `due_at` when somebody is to look at it.
    From `expires_at` on it is as if it were not there. `count` is what `Add` counts.
    """

    kind: str
    key: str
    version: int
    value: str
    parent: str | None = None
    label: str | None = None
    state: str | None = None
    due_at: float | None = None
    expires_at: float | None = None
    count: int = 0
    created_at: float = 0.0
    changed_at: float = 0.0


class RecordQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which records of a kind to list: those that fit all that is given.

    `states` is any of them; `due_by` those whose `due_at` is not later. `order`: `newest` or
    `oldest` by when they were created, or `due` by `due_at` (then only those that have one).
    `after` is `RecordPage.next` of the page before; `limit` is 1 to 1000.
    """

    kind: str
    parent: str | None = None
    label: str | None = None
    states: Collection[str] = ()
    created_from: float | None = None
    created_before: float | None = None
    due_by: float | None = None
    order: Literal["newest", "oldest", "due"] = "newest"
    after: str | None = None
    limit: int = 100


class RecordPage(NamedTuple):
    """A page of records, and what to ask `after` for the next one; None at the end."""

    records: Sequence[Record]
    next: str | None
