"""Waiting for records to change, where rings tell of it."""

from collections.abc import Callable, Mapping

from taskflow.broker.record import Record
from taskflow.brokers.stored.application import ring_of
from taskflow.brokers.stored.record_pages import changed
from taskflow.brokers.stored.waiting_seam import Waiting


def wait_for_news(
    waiters: Waiting,
    now: Callable[[], float],
    look: Callable[[], Mapping[str, Record]],
    check: Callable[[], None],
    kind: str,
    seen: Mapping[str, int],
    wait: float,
    stop: Callable[[], bool] | None,
) -> dict[str, Record | None]:
    """As `broker.Runs.wait_records`. `look` answers the records as they are, `check` raises when
    nobody can tell any more."""
    rings = [ring_of(kind, key) for key in seen]
    waiters.listen()
    deadline = now() + wait
    with waiters.attending(rings):
        while True:
            rung = waiters.rung(rings)
            if news := changed(look(), seen):
                return news
            check()
            if now() >= deadline or not waiters.park(rings, rung, deadline, stop):
                return {}
