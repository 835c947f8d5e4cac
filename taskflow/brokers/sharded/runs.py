"""Records of all files, looked at, listed and waited for."""

import heapq
from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec

from taskflow.broker.record import Record, RecordPage, RecordQuery
from taskflow.brokers.sharded.course import Course
from taskflow.brokers.sharded.hub import Hub
from taskflow.brokers.sharded.placement import Placement
from taskflow.brokers.sharded.shard import Shard
from taskflow.brokers.stored.record_pages import check_page, make_page
from taskflow.brokers.stored.record_waiting import wait_for_news
from taskflow.clock import Clock
from taskflow.errors import LimitExceeded

_BETWEEN = ";"


class Runs:
    """Thread-safe. Records are written by `apply`; here they are read."""

    def __init__(
        self,
        course: Course,
        shards: Sequence[Shard],
        placement: Placement,
        hub: Hub,
        clock: Clock,
    ) -> None:
        self._steady = course.steady
        self._shards = shards
        self._placement = placement
        self._hub = hub
        self._clock = clock

    def records(self, kind: str, keys: Collection[str]) -> dict[str, Record]:
        """Records by their keys."""

        def look() -> dict[str, Record]:
            by_file: dict[int, list[str]] = {}
            for key in keys:
                by_file.setdefault(self._placement.of_id(key), []).append(key)
            found: dict[str, Record] = {}
            for number, some in by_file.items():
                found.update(self._shards[number].broker.records(kind, some))
            return found

        return self._steady(look)

    def list_records(self, query: RecordQuery) -> RecordPage:
        """A page of records: of each file as many as the page has, merged."""
        return self._steady(lambda: self._list(query))

    def _list(self, query: RecordQuery) -> RecordPage:
        places = self._places(query)
        found = [
            self._select(shard, msgspec.structs.replace(query, after=place or None))
            for shard, place in zip(self._shards, places, strict=True)
        ]
        merged = list(heapq.merge(*found, key=lambda one: one[:2]))[: query.limit]
        for *_, number, at, record in merged:
            one = msgspec.structs.replace(query, limit=1)
            places[number] = make_page(one, [(at, record)]).next or ""
        last = len(merged) < query.limit
        return RecordPage(
            [record for *_, record in merged], None if last else _BETWEEN.join(places)
        )

    @staticmethod
    def _select(shard: Shard, query: RecordQuery) -> list[tuple[float, str, int, int, Record]]:
        """What a file has of a page: by what it is ordered, the key, the file, its number there."""
        after, now = check_page(query), shard.broker.core.now()
        found = shard.store.look(lambda rows: rows.records.select(query, after, now), kept=True)
        return [(_rank(query, one), one.key, shard.number, at, one) for at, one in found]

    def _places(self, query: RecordQuery) -> list[str]:
        """Where the page begins in each file; empty for the beginning."""
        count = len(self._shards)
        if query.after is None:
            check_page(query)
            return [""] * count
        places = query.after.split(_BETWEEN)
        if len(places) != count:
            raise LimitExceeded(
                f"after is {query.after!r}; the `next` of a page is wanted, of a broker over "
                f"{count} files"
            )
        return places

    def count_records(self, kind: str, label: str | None = None) -> dict[str, int]:
        """How many records of each state there are."""

        def look() -> dict[str, int]:
            counts: dict[str, int] = {}
            for shard in self._shards:
                for state, count in shard.broker.count_records(kind, label).items():
                    counts[state] = counts.get(state, 0) + count
            return counts

        return self._steady(look)

    def wait_record(
        self,
        kind: str,
        key: str,
        seen: int,
        wait: float,
        stop: Callable[[], bool] | None = None,
    ) -> Record | None:
        """A record in another version than `seen`, or as it is when the time is over."""
        news = self.wait_records(kind, {key: seen}, wait, stop)
        return news[key] if news else self.records(kind, [key]).get(key)

    def wait_records(
        self,
        kind: str,
        seen: Mapping[str, int],
        wait: float,
        stop: Callable[[], bool] | None = None,
    ) -> dict[str, Record | None]:
        """Those of some records that are in another version than was seen, once there are any."""

        def check_all() -> None:
            for shard in self._shards:
                shard.store.check()

        def check() -> None:
            self._steady(check_all)

        return wait_for_news(
            self._hub.waiters,
            self._clock.now,
            lambda: self.records(kind, seen),
            check,
            kind,
            seen,
            wait,
            stop,
        )

    def secure(self) -> None:
        """Wait for the disk, if the stores were opened for that."""

        def secure() -> None:
            for shard in self._shards:
                shard.broker.secure()

        self._steady(secure)


def _rank(query: RecordQuery, record: Record) -> float:
    """What a page is ordered by."""
    if query.order == "due":
        return record.due_at or 0.0
    return -record.created_at if query.order == "newest" else record.created_at
