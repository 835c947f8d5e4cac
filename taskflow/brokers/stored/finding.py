"""The broker verbs that find messages wherever they lie, and count dead letters by cause."""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple, get_args

import msgspec

from taskflow.broker.cause import HOURS, Cause
from taskflow.broker.message_query import Found, MessagePage, MessageQuery, MessageState
from taskflow.brokers.stored.core import Core
from taskflow.brokers.stored.letters import delivery
from taskflow.brokers.stored.lookup import find_queue
from taskflow.errors import LimitExceeded
from taskflow.stores.finder import Hit, Place, Search
from taskflow.stores.letters import HOUR
from taskflow.stores.row import CauseRow, QueueRow
from taskflow.stores.rows import Rows
from taskflow.stores.text_search import beginnings, whole

MOST_FOUND = 500  # of one page
LONGEST_TEXT = 1000  # characters
_LAST = 2**63 - 1
_TEXTS = ("queues", "topics", "ids", "keys", "groups", "sources", "handlers", "errors", "causes")


class Seen(NamedTuple):
    """What one look found, each with its place; the rest is as in `finder.Slice`."""

    found: list[tuple[Place, Found]]
    end: Place | None
    looked: int
    since: float | None


class Finding:
    """Looks, and changes nothing. Thread-safe."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def find(self, query: MessageQuery) -> MessagePage:
        """A page of messages."""
        query = checked(query)
        start = start_of(query)
        seen = self.look(query, None if start is None else start_place(query, start))
        end = None if seen.end is None else write_place(seen.end)
        top = write_place(seen.found[0][0]) if seen.found else None
        return MessagePage([one for _, one in seen.found], end, seen.looked, seen.since, top)

    def look(self, query: MessageQuery, after: Place | None) -> Seen:
        """What comes after a place."""
        now = self._core.now()

        def look(rows: Rows) -> Seen:
            queues, asked = _queues(rows, query), query
            if query.keys:
                asked = of_runs(query, rows.records.holders(query.keys, now).values())
            search = _search(rows, asked, queues, now)
            if search is None:
                return Seen([], None, 0, None)
            hits, end, looked, since = rows.search(search, after, query.limit)
            by_number = {queue.id: queue for queue in queues}
            found = [(hit.place, _found(rows, hit, by_number[hit.place.queue])) for hit in hits]
            live = [
                (at, one)
                for at, one in found
                if one.delivery.sent_at + by_number[at.queue].settings.retention > now
            ]
            return Seen(live, end, looked, since)

        return self._core.store.look(look)

    def causes(self, queue: str | None = None) -> list[Cause]:
        """Dead letters by cause."""
        hour = int(self._core.now() // HOUR) - HOURS + 1

        def look(rows: Rows) -> list[Cause]:
            of = None if queue is None else [find_queue(rows, queue).id]
            made = (_cause(rows, one, hour) for one in rows.letters.causes(of))
            return [one for one in made if one is not None]

        return self._core.store.look(look)


def checked(query: MessageQuery) -> MessageQuery:
    """The query as it is looked for. Raises LimitExceeded for what cannot be asked."""
    if not 1 <= query.limit <= MOST_FOUND:
        raise LimitExceeded(f"limit is {query.limit} messages; 1 to {MOST_FOUND} are allowed")
    states = get_args(MessageState)
    for state in query.states:
        if state not in states:
            raise LimitExceeded(f"state is {state!r}; allowed are {', '.join(states)}")
    if query.order not in ("newest", "oldest"):
        raise LimitExceeded(f"order is {query.order!r}; allowed are newest, oldest")
    texts = [one for name in _TEXTS for one in getattr(query, name)]
    if query.text is not None:
        if not 1 <= len(query.text) <= LONGEST_TEXT:
            raise LimitExceeded(
                f"the text has {len(query.text)} characters; 1 to {LONGEST_TEXT} are allowed"
            )
        texts.append(query.text)
    if len(texts) > LONGEST_TEXT:
        raise LimitExceeded(f"{len(texts)} values are asked for; {LONGEST_TEXT} are allowed")
    for text in texts:
        try:
            plain = "\0" not in text and bool(text.encode())  # an empty topic is one
        except UnicodeEncodeError:
            plain = False
        if not plain and text:
            raise LimitExceeded(f"{text!a} is no text that a message can hold")
    if sum(one is not None for one in (query.after, query.top, query.came)) > 1:
        raise LimitExceeded("one of after, top and came is allowed")
    return query if query.came is None else msgspec.structs.replace(query, order="oldest")


def start_of(query: MessageQuery) -> str | None:
    """Where to begin, as it was given; None for the beginning."""
    return next((one for one in (query.after, query.top, query.came) if one is not None), None)


def start_place(query: MessageQuery, text: str) -> Place:
    """After which place to look: `top` is a place that is found again. Raises LimitExceeded."""
    place = read_place(text)
    if query.top is None:
        return place
    if query.order == "newest":
        return Place(min(place.seq + 1, _LAST), 0)
    return Place(place.seq - 1, _LAST)


def of_runs(query: MessageQuery, runs: Iterable[str]) -> MessageQuery:
    """The query, with ids of messages in place of its keys, which these runs hold; it still has
    keys where nothing fits."""
    ids = [form for run in set(runs) if fits(run, query.ids) for form in (run, f"{run}~*")]
    return msgspec.structs.replace(query, ids=ids, keys=()) if ids else query


def write_place(place: Place) -> str:
    """A place, as the `next` of a page."""
    return f"{place.seq}.{place.queue}"


def read_place(text: str) -> Place:
    """The place in the `next` of a page. Raises LimitExceeded."""
    seq, _, queue = text.partition(".")
    try:
        place = Place(int(seq), int(queue))
        if -1 <= place.seq < 2**63 and 0 <= place.queue < 2**63:
            return place
    except ValueError:
        pass
    raise LimitExceeded(f"after is {text[:100]!r}; the `next` of a page is wanted")


def fits(value: str | None, wanted: Collection[str]) -> bool:
    """Whether a value is one of these, or begins as one of them that ends in `*`."""
    if not wanted:
        return True
    if value is None:
        return False
    return value in whole(wanted) or any(map(value.startswith, beginnings(wanted)))


def _queues(rows: Rows, query: MessageQuery) -> list[QueueRow]:
    for name in whole(query.queues):
        find_queue(rows, name)
    return [queue for queue, _ in rows.declared(None) if fits(queue.name, query.queues)]


def _search(
    rows: Rows, query: MessageQuery, queues: Sequence[QueueRow], now: float
) -> Search | None:
    """None where nothing can fit."""
    if query.keys:
        return None
    causes, letters = None, 0
    numbers, everywhere = [queue.id for queue in queues], not query.queues
    if query.sources or query.handlers or query.errors or query.causes:
        chosen = [one for one in rows.letters.causes(numbers) if _asked(one, query)]
        if not chosen:
            return None
        causes, letters = [one.number for one in chosen], sum(one.letters for one in chosen)
        numbers, everywhere = sorted({one.queue for one in chosen}), False
    return Search(query, numbers, everywhere, causes, letters, now)


def _asked(cause: CauseRow, query: MessageQuery) -> bool:
    return (
        fits(cause.source, query.sources)
        and fits(cause.handler, query.handlers)
        and fits(cause.error, query.errors)
        and (not query.causes or cause.name in query.causes)
    )


def _found(rows: Rows, hit: Hit, queue: QueueRow) -> Found:
    row = hit.row
    made = delivery(rows, row, queue, row.receive_count, row.first_received_at or 0.0)
    return Found(made, hit.state, hit.attempts, hit.cause, hit.died_at)


def _cause(rows: Rows, row: CauseRow, from_hour: int) -> Cause | None:
    ends = rows.letters.ends(row.number, from_hour)
    queue = rows.queue_of(row.queue)
    if ends is None or queue is None:
        return None
    return Cause(
        id=row.name,
        queue=queue.name,
        source=row.source,
        handler=row.handler,
        error=row.error,
        place=row.place,
        reason=row.reason,
        count=row.letters,
        first_at=ends.first_at,
        last_at=ends.last_at,
        sample=ends.sample,
        trend=[ends.trend.get(from_hour + at, 0) for at in range(HOURS)],
    )
