"""Schedules that somebody put, on their way to another broker: each is a record by itself."""

from collections.abc import Collection, Iterator

from taskflow.broker import Broker
from taskflow.broker.record import RecordQuery
from taskflow.broker.tree_handover import Asked, Seen
from taskflow.brokers.copying.trees import Found
from taskflow.errors import DecodeError
from taskflow.scheduling.stored import SCHEDULE, row_of

PAGE = 1000
NAME = "(schedules)"


class ScheduleTrees:
    """As `brokers.copying.trees.Trees`. Those of code are left out: workers declare them. One whose
    last run lives still stays, so that no two overlap."""

    def find(self, source: Broker, queues: Collection[str] | None) -> Iterator[Found]:
        """All of them, unless only some queues are asked for."""
        after = ""
        while queues is None:
            query = RecordQuery(kind=SCHEDULE, order="oldest", limit=PAGE, after=after or None)
            page = source.list_records(query)
            locks = {f"{SCHEDULE}/{one.key}": one.key for one in page.records}
            busy = {locks[key] for key in source.holders(list(locks))} if locks else set()
            for record in page.records:
                try:
                    row = row_of(record)
                except DecodeError:
                    yield Found(NAME, None, "unreadable")
                    continue
                if row.stored.source != "put":
                    continue
                if row.name in busy:
                    yield Found(NAME, None)
                    continue
                seen = Seen(record.kind, record.key, record.version, record.count)
                yield Found(NAME, Asked(root=record.key, seen=[seen]))
            if page.next is None:
                return
            after = page.next
