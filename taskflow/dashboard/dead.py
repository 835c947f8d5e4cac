"""`/dead`: dead letters by cause, the largest first, and the letters of one cause."""

from typing import NamedTuple

from markupsafe import Markup

from taskflow.broker.cause import Cause
from taskflow.broker.message_query import MessageQuery
from taskflow.dashboard.answer import Answer
from taskflow.dashboard.code_view import write_traceback
from taskflow.dashboard.drawing import spark
from taskflow.dashboard.exporting import export
from taskflow.dashboard.failure_view import failure_of
from taskflow.dashboard.inspected_broker import causes_of
from taskflow.dashboard.message_rows import Rows, export_row, find_rows
from taskflow.dashboard.redrives import Redrive
from taskflow.dashboard.terms import Filter, Moment, read_filter
from taskflow.dashboard.visit import Visit
from taskflow.dashboard.wrongs import cause_place, cause_title

NAMES = ("queue", "error", "handler", "at", "cause", "died")
MOST_CAUSES = 500


class CauseLine(NamedTuple):
    """A cause in the list; `rows` when it is open, `traceback` of the last that died."""

    cause: Cause
    title: str
    place: str
    trend: Markup
    rows: Rows | None
    traceback: Markup | None


def show(visit: Visit) -> Answer:
    """The dead letters."""
    survey, asked = visit.survey(), visit.asked
    found = read_filter(asked.one("q"), NAMES, visit.now)
    causes = causes_of(visit.broker)
    kept = [one for one in causes if _keeps(found, one, visit.now)]
    opened = asked.one("open")
    for one in causes:
        if one.id == opened and asked.one("as"):
            rows = find_rows(visit, _letters(one), Filter("", (), ()), 500)
            file = export(asked, "letters", (export_row(visit, row) for row in rows.rows))
            if file is not None:
                return file
    if (file := export(asked, "causes", (_row(one) for one in kept))) is not None:
        return file
    having = sorted(
        (one for one in survey.queues.values() if one.letters), key=lambda one: -one.letters
    )
    total = sum(one.count for one in causes) if causes else survey.letters
    return visit.page(
        "dead.html",
        "/dead",
        total=total,
        causes_in_all=len(causes),
        having=having,
        oldest=min((one.first_at for one in causes), default=None),
        lines=[_line(visit, one, opened) for one in kept[:MOST_CAUSES]],
        found=found,
        names=NAMES,
        kept=len(kept),
        matching=sum(one.count for one in kept),
        more_terms=_suggested(found, causes),
        redrives=[(one, one.stands(visit.now)) for one in Redrive.running(visit.broker)],
        destinations=sorted(survey.queues),
    )


def _letters(cause: Cause) -> MessageQuery:
    """Its letters; with their queue, so that nobody looks through the others."""
    return MessageQuery(queues=[cause.queue], causes=[cause.id])


def _line(visit: Visit, cause: Cause, opened: str) -> CauseLine:
    is_open = cause.id == opened
    rows = traceback = None
    if is_open:
        rows = find_rows(visit, _letters(cause), Filter("", (), ()), 20)
        if visit.may("bodies"):
            traceback = _traceback(visit, rows)
    return CauseLine(
        cause,
        cause_title(cause) if not cause.error else _title(cause),
        cause_place(cause),
        spark(list(cause.trend), is_open),
        rows,
        traceback,
    )


def _title(cause: Cause) -> str:
    return (cause.error or "").rpartition(".")[2]


def _traceback(visit: Visit, rows: Rows) -> Markup | None:
    for row in rows.rows:
        failure = failure_of(row.delivery, visit.hiding)
        if failure is not None and failure.traceback:
            return write_traceback(failure.traceback)
    return None


def _suggested(found: Filter, causes: list[Cause]) -> list[tuple[str, str]]:
    """Terms that would part what is there: the queues with most letters, those that died lately."""
    if found.text:
        return []
    by_queue: dict[str, int] = {}
    for one in causes:
        by_queue[one.source] = by_queue.get(one.source, 0) + one.count
    largest = sorted(by_queue.items(), key=lambda item: -item[1])[:3]
    terms = [(f"queue:{name}", f"{name} {count:,}") for name, count in largest]
    return [*terms, ("died:<1h", "died in the last hour")] if causes else []


def _keeps(found: Filter, one: Cause, now: float) -> bool:
    return found.keeps(
        {
            "queue": lambda: [one.source, one.queue],
            "error": lambda: [one.error or "", (one.error or "").rpartition(".")[2]],
            "handler": lambda: one.handler,
            "at": lambda: _places(one.place or ""),
            "cause": lambda: one.id,
            "died": lambda: Moment(one.last_at),
        },
        lambda: " ".join(filter(None, (one.error, one.place, one.reason, one.handler, one.source))),
        now,
    )


def _places(place: str) -> list[str]:
    """What a place may be called: whole, and by its file with and without the line."""
    file = place.partition(" ")[0]
    short = file.rpartition("/")[2]
    return [place, file, short, file.partition(":")[0], short.partition(":")[0]]


def _row(one: Cause) -> dict[str, object]:
    return {
        "cause": one.id,
        "count": one.count,
        "error": one.error,
        "place": one.place,
        "handler": one.handler,
        "reason": one.reason,
        "queue": one.source,
        "dead_letter_queue": one.queue,
        "first_at": one.first_at,
        "last_at": one.last_at,
    }
