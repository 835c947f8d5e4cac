"""Finding messages in any store: which index to go by, how far to look, where to go on."""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from taskflow.broker.message_query import MessageQuery, MessageState
from taskflow.stores.row import Row

BOUND = 10_000
"""As many rows are looked at for a page, and are put in order that an index has not."""
CHUNK = 500


class Place(NamedTuple):
    """Where a row lies: numbers rise, and several queues may share one."""

    seq: int
    queue: int


class Search(NamedTuple):
    """What to look for: a query, the numbers of its queues (all that anybody may see, if it names
    none), whether they are all, and of its causes (None: it asks for none)."""

    query: MessageQuery
    queues: Sequence[int]
    everywhere: bool
    causes: Sequence[int] | None
    letters: int
    """How many letters these causes have."""
    now: float

    @property
    def newest(self) -> bool:
        """Whether the newest come first."""
        return self.query.order == "newest"


class Hit(NamedTuple):
    """A row that fits. `cause` is its `Cause.id`, `attempts` how often it was received, or was
    before it died."""

    place: Place
    row: Row
    state: MessageState
    attempts: int
    cause: str | None
    died_at: float | None


class Slice(NamedTuple):
    """What was found; `end` is where to go on, None when nothing is left; `looked` and `since` as
    in `MessagePage`."""

    hits: list[Hit]
    end: Place | None
    looked: int
    since: float | None


class Walk(NamedTuple):
    """Some rows in order; `end` is where to go on, None when nothing is left. `since` is when the
    last was stored."""

    places: list[Place]
    end: Place | None
    since: float | None


class Steps(Protocol):
    """What a store does of it. `most` bounds what is answered."""

    def by_id(self, search: Search, ids: Collection[str], most: int) -> list[Place]:
        """Rows by their ids."""
        ...

    def by_group(self, search: Search, groups: Collection[str], most: int) -> list[Place]:
        """Rows by their message groups, which are given whole."""
        ...

    def by_cause(self, search: Search, causes: Collection[int], most: int) -> list[Place]:
        """Letters by their causes."""
        ...

    def by_time(self, search: Search, due: bool, most: int) -> list[Place]:
        """Rows that are due, or that are hidden."""
        ...

    def walk(self, search: Search, after: Place | None, most: int) -> Walk:
        """The next rows after that place: of letters (of the cause, if it is one), of one queue,
        or of all."""
        ...

    def fit(self, search: Search, places: Sequence[Place]) -> list[Hit]:
        """Those of the rows that fit, in the order given."""
        ...


class Finder:
    """Looks at no more than it must: at what an index answers, if that is little; else at the next
    `BOUND` rows."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def search(self, search: Search, after: Place | None, limit: int) -> Slice:
        """The next `limit` rows that fit, or fewer."""
        few = self._few(search)
        if few is None:
            return self._look(search, after, limit)
        left = sorted(set(few), reverse=search.newest)
        if after is not None:
            left = [one for one in left if (one < after if search.newest else one > after)]
        hits: list[Hit] = []
        looked = 0
        for start in range(0, len(left), CHUNK):
            chosen = left[start : start + CHUNK]
            looked += len(chosen)
            hits += self._steps.fit(search, chosen)
            if len(hits) >= limit:
                return Slice(hits[:limit], hits[limit - 1].place, looked, None)
        return Slice(hits, None, looked, None)

    def _look(self, search: Search, after: Place | None, limit: int) -> Slice:
        hits: list[Hit] = []
        looked = 0
        since = None
        for _ in range(BOUND // CHUNK):
            walk = self._steps.walk(search, after, CHUNK)
            looked += len(walk.places)
            since = walk.since if walk.since is not None else since
            hits += self._steps.fit(search, walk.places)
            if len(hits) >= limit:
                more = walk.end is not None or len(hits) > limit
                return Slice(hits[:limit], hits[limit - 1].place if more else None, looked, since)
            after = walk.end
            if after is None:
                return Slice(hits, None, looked, None)
        return Slice(hits, after, looked, since)

    def _few(self, search: Search) -> list[Place] | None:
        """The rows that may fit, if an index says so and they are few."""
        query, steps, most = search.query, self._steps, BOUND + 1
        if not search.queues:
            return []
        if query.ids:
            found = steps.by_id(search, query.ids, most)
            if len(found) <= BOUND:
                return found
        if search.causes is not None and search.letters <= BOUND:
            return steps.by_cause(search, search.causes, most)
        if query.groups and not any(one.endswith("*") for one in query.groups):
            found = steps.by_group(search, query.groups, most)
            if len(found) <= BOUND:
                return found
        if query.of_letters:
            return None  # they are in order
        states = set(query.states)
        for due, kinds in ((True, {"waiting"}), (False, {"in_flight", "delayed"})):
            if states and states <= kinds:
                found = steps.by_time(search, due, most)
                if len(found) <= BOUND:
                    return found
        return None
