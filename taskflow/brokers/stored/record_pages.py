"""Pages of records: how long one may be, and where the next one begins, as text."""

from collections.abc import Mapping

from taskflow.broker.record import Record, RecordPage, RecordQuery
from taskflow.errors import LimitExceeded

MOST_RECORDS = 1000  # of one page


def check_page(query: RecordQuery) -> tuple[float, int] | None:
    """Where the page begins: the `due_at` (0 where the order is another) and the number of the last
    record seen; None for the first page. Raises LimitExceeded for a limit or a place that cannot
    be."""
    if not 1 <= query.limit <= MOST_RECORDS:
        raise LimitExceeded(f"limit is {query.limit} records; 1 to {MOST_RECORDS} are allowed")
    if query.after is None:
        return None
    due, _, number = query.after.partition("/")
    try:
        return float(due), int(number)
    except ValueError:
        raise LimitExceeded(f"after is {query.after!r}; the `next` of a page is wanted") from None


def make_page(query: RecordQuery, found: list[tuple[int, Record]]) -> RecordPage:
    """What was found, each with its number, as the page that was asked for."""
    place = None
    if len(found) == query.limit:
        number, last = found[-1]
        place = f"{(last.due_at or 0.0) if query.order == 'due' else 0.0!r}/{number}"
    return RecordPage([record for _, record in found], place)


def changed(found: Mapping[str, Record], seen: Mapping[str, int]) -> dict[str, Record | None]:
    """Those of the records that are in another version than was seen; None for one that is gone."""
    return {
        key: found.get(key)
        for key, version in seen.items()
        if (found[key].version if key in found else 0) != version
    }
