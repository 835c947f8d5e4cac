"""The broker verbs that look at records, and wait for one to change."""

from collections.abc import Callable, Collection, Mapping

from taskflow.broker.record import Record, RecordPage, RecordQuery
from taskflow.brokers.stored.core import Core
from taskflow.brokers.stored.record_pages import check_page, make_page
from taskflow.brokers.stored.record_waiting import wait_for_news


class Runs:
    """Thread-safe. Records are written by `apply`; here they are read."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def records(self, kind: str, keys: Collection[str]) -> dict[str, Record]:
        """Records by their keys."""
        now = self._core.now()
        return self._core.store.look(lambda rows: rows.records.find(kind, keys, now), kept=True)

    def list_records(self, query: RecordQuery) -> RecordPage:
        """A page of records."""
        after = check_page(query)
        now = self._core.now()
        found = self._core.store.look(
            lambda rows: rows.records.select(query, after, now), kept=True
        )
        return make_page(query, found)

    def count_records(self, kind: str, label: str | None = None) -> dict[str, int]:
        """How many records of each state there are."""
        now = self._core.now()
        return self._core.store.look(
            lambda rows: rows.records.count_by_state(kind, label, now), kept=True
        )

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
        core = self._core
        return wait_for_news(
            core.waiters,
            core.now,
            lambda: self.records(kind, seen),
            core.store.check,
            kind,
            seen,
            wait,
            stop,
        )

    def secure(self) -> None:
        """Wait for the disk, if the store was opened for that."""
        self._core.store.sync(everybodys=True)

    def holders(self, keys: Collection[str]) -> dict[str, str]:
        """Who has keys."""
        now = self._core.now()
        return self._core.store.look(lambda rows: rows.records.holders(keys, now), kept=True)
