"""Finding messages in any store: which index to go by, how far to look, where to go on."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from taskflow.broker.message_query import MessageQuery, MessageState
from taskflow.stores.row import Row

BOUND = 10_000
"""As many rows are looked at for a page, and are put in order that an index has not."""
CHUNK = 500
SEARCHED, ANSWERED = 16 * 2**20, 8 * 2**20
"""As many bytes of bodies are looked through for words, and are answered, for a page, and one
message more, so that one of any size is found."""
PORTION = 16
"""As many rows are read at once, since each may be large."""


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


class Weight(NamedTuple):
    """How many bytes the body and attributes of a row have, and when it was stored, or died."""

    size: int
    stored_at: float


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

    def weigh(self, places: Sequence[Place]) -> dict[int, Weight]:
        """The weights of the rows that are there, by their numbers, without reading a body."""
        ...

    def fit(self, search: Search, places: Sequence[Place], most: int) -> list[Hit]:
        """Those of the rows that fit, in the order given; the first `most` of them."""
        ...


class Finder:
    """Looks at no more than it must: at what an index answers, if that is little; else at the next
    `BOUND` rows; for words, at `SEARCHED` bytes of them. It answers `ANSWERED` bytes."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def search(self, search: Search, after: Place | None, limit: int) -> Slice:
        """The next `limit` rows that fit, or fewer."""
        few = self._few(search)
        walks = self._walks(search, after) if few is None else _walked(few, after, search.newest)
        hits: list[Hit] = []
        looked, left, since, end = 0, SEARCHED, None, None
        for walk in walks:
            places, end = walk.places, walk.end
            since = walk.since if walk.since is not None else since
            if search.query.text is not None:
                weights = self._steps.weigh(places)
                number, left = _affordable(places, weights, left)
                if number < len(places):
                    places = places[:number]
                    end = places[-1]
                    since = weights[end.seq].stored_at if end.seq in weights else since
            looked += len(places)
            rest = self._fit(search, places, hits, limit + 1)
            number = _presentable(hits, limit)
            if rest or number < len(hits) or number == limit:
                more = rest or number < len(hits) or end is not None
                return Slice(hits[:number], hits[number - 1].place if more else None, looked, since)
            if left <= 0:
                break
        return Slice(hits, end, looked, None if end is None else since)

    def _fit(self, search: Search, places: Sequence[Place], hits: list[Hit], most: int) -> bool:
        """Add those that fit, until they are so many or too large; whether some were left out."""
        while places and len(hits) < most and sum(map(_size, hits)) < ANSWERED:
            asked = min(PORTION, most - len(hits))
            found = self._steps.fit(search, places, asked)
            hits += found
            last = found[-1].place if len(found) == asked else places[-1]
            places = places[places.index(last) + 1 :]
        return bool(places)

    def _walks(self, search: Search, after: Place | None) -> Iterator[Walk]:
        for _ in range(BOUND // CHUNK):
            walk = self._steps.walk(search, after, CHUNK)
            yield walk
            after = walk.end
            if after is None:
                return

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


def _walked(few: Collection[Place], after: Place | None, newest: bool) -> Iterator[Walk]:
    """What an index answered, in order, from a place on."""
    left = sorted(set(few), reverse=newest)
    if after is not None:
        left = [one for one in left if (one < after if newest else one > after)]
    for start in range(0, len(left), CHUNK):
        chosen = left[start : start + CHUNK]
        yield Walk(chosen, chosen[-1] if start + CHUNK < len(left) else None, None)


def _affordable(
    places: Sequence[Place], weights: Mapping[int, Weight], left: int
) -> tuple[int, int]:
    """How many of the rows may be looked through, one at least, and what is left after that."""
    for number, place in enumerate(places):
        if left <= 0:
            return number, left
        left -= weights[place.seq].size if place.seq in weights else 0
    return len(places), left


def _presentable(hits: Sequence[Hit], limit: int) -> int:
    """How many of them are answered, one at least."""
    left = ANSWERED
    for number, hit in enumerate(hits[:limit]):
        if left <= 0:
            return number
        left -= _size(hit)
    return min(len(hits), limit)


def _size(hit: Hit) -> int:
    return len(hit.row.body) + len(hit.row.attributes)
