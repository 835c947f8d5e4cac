"""The broker verbs that find messages and mend dead letters, over all files."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from taskflow.broker.cause import Cause
from taskflow.broker.message_query import Found, MessagePage, MessageQuery
from taskflow.brokers.sharded.course import Course
from taskflow.brokers.sharded.operate import Operator
from taskflow.brokers.sharded.shard import Shard
from taskflow.brokers.stored.finding import (
    Seen,
    checked,
    of_runs,
    start_of,
    start_place,
    write_place,
)
from taskflow.brokers.stored.mending import held_already
from taskflow.errors import LimitExceeded, MessageNotFound
from taskflow.message import Delivery, Message
from taskflow.stores.finder import Place

_BETWEEN, _DONE = ";", "-"
T = TypeVar("T")


class _Entry(NamedTuple):
    """Something found: where it stands in the page, the number of its file, its place there."""

    rank: int
    number: int
    place: Place
    found: Found


class Inspecting:
    """Thread-safe. What lies together is changed together; a letter and where it came from are in
    one file. A transfer that has moved some when the number of files changes leaves the rest."""

    def __init__(
        self,
        course: Course,
        operator: Operator,
        shards: Sequence[Shard],
        holders: Callable[[Collection[str]], dict[str, str]],
    ) -> None:
        self._steady = course.steady
        self._each = operator.each
        self._shards = shards
        self._holders = holders

    # ---- looking ------------------------------------------------------------------------------
    def find(self, query: MessageQuery) -> MessagePage:
        """A page of messages: numbers are microseconds in every file, so they are merged by them.
        No further than every file was looked at."""
        query = checked(query)
        if query.keys:
            query = of_runs(query, self._holders(query.keys).values())
        return self._steady(lambda: self._page(query))

    def _page(self, query: MessageQuery) -> MessagePage:
        places = self._places(start_of(query))
        seen: dict[int, Seen] = {}
        for shard, place in zip(self._shards, places, strict=True):
            if place != _DONE:
                after = start_place(query, place) if place else None
                seen[shard.number] = shard.broker.finding.look(query, after)
        newest = query.order == "newest"
        bounds = [_rank(one.end, newest) for one in seen.values() if one.end is not None]
        entries = sorted(
            (
                _Entry(_rank(place, newest), number, place, found)
                for number, one in seen.items()
                for place, found in one.found
            ),
            key=lambda one: one[:3],
        )
        reached = [one for one in entries if not bounds or one.rank <= min(bounds)]
        page = reached[: query.limit]
        for number, one in seen.items():
            mine = [entry for entry in page if entry.number == number]
            if len(mine) == len(one.found):
                places[number] = _DONE if one.end is None else write_place(one.end)
            elif mine:
                places[number] = write_place(mine[-1].place)
        times = [one.since for one in seen.values() if one.since is not None]
        over = all(place == _DONE for place in places)
        return MessagePage(
            [entry.found for entry in page],
            None if over else _BETWEEN.join(places),
            sum(one.looked for one in seen.values()),
            (max(times) if newest else min(times)) if times else None,
            self._top(page[0].place.seq, seen) if page else None,
        )

    def _top(self, first: int, seen: Mapping[int, Seen]) -> str:
        """The first place of each file; where nothing was found, that of the page."""
        tops = [
            found[0][0]
            if (found := seen[shard.number].found if shard.number in seen else [])
            else Place(first, 0)
            for shard in self._shards
        ]
        return _BETWEEN.join(map(write_place, tops))

    def _places(self, after: str | None) -> list[str]:
        count = len(self._shards)
        if after is None:
            return [""] * count
        places = after.split(_BETWEEN)
        if len(places) != count:
            raise LimitExceeded(f"after is {after[:100]!r}; the `next` of a page is wanted")
        return places

    def causes(self, queue: str | None = None) -> list[Cause]:
        """Dead letters by cause."""
        return self._steady(lambda: self._causes(queue))

    def _causes(self, queue: str | None) -> list[Cause]:
        found: dict[tuple[str, str], Cause] = {}
        for shard in self._shards:
            for one in shard.broker.causes(queue):
                key = one.queue, one.id
                found[key] = _together(found[key], one) if key in found else one
        return sorted(found.values(), key=lambda one: -one.count)

    # ---- mending ------------------------------------------------------------------------------
    def lend(self, queue: str, id: str, seconds: float) -> Delivery:
        """Hold a message."""
        return self._steady(
            lambda: self._where_it_is(lambda shard: shard.broker.lend(queue, id, seconds))
        )

    def resend(self, queue: str, id: str, message: Message) -> str:
        """Store a message in place of a letter, in its file. That no other file has one of its id
        is seen before: an id that is made for it is nobody else's."""
        return self._steady(lambda: self._resend(queue, id, message))

    def _resend(self, queue: str, id: str, message: Message) -> str:
        for letter in self._letters(queue, id):
            for shard in self._shards:
                if letter.source and shard.broker.peek(letter.source, 1, [message.id]):
                    raise held_already(letter.source, message.id)
        return self._where_it_is(lambda shard: shard.broker.resend(queue, id, message))

    def transfer(self, queue: str, ids: Collection[str], to: str) -> int:
        """Move letters to another queue, each within its file."""
        return self._each(len(ids), lambda shard, left: shard.broker.transfer(queue, ids, to))

    def _letters(self, queue: str, id: str) -> list[Delivery]:
        return [one for shard in self._shards for one in shard.broker.peek(queue, 1, [id])]

    def _where_it_is(self, act: Callable[[Shard], T]) -> T:
        """What the file answers that has it; none has what the last one has not."""
        for shard in self._shards[:-1]:
            try:
                return act(shard)
            except MessageNotFound:
                continue
        return act(self._shards[-1])


def _rank(place: Place, newest: bool) -> int:
    return -place.seq if newest else place.seq


def _together(one: Cause, other: Cause) -> Cause:
    """One cause, of letters in two files."""
    last = max(one, other, key=lambda cause: cause.last_at)
    return msgspec.structs.replace(
        last,
        count=one.count + other.count,
        first_at=min(one.first_at, other.first_at),
        trend=[sum(pair) for pair in zip(one.trend, other.trend, strict=True)],
    )
