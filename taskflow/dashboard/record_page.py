"""`/record`: who did what, the newest first."""

from math import inf, nextafter
from typing import Any

from msgspec import structs

from taskflow.broker.action import Action, ActionQuery
from taskflow.dashboard.answer import Answer
from taskflow.dashboard.came import MOST_CAME, NOTHING_CAME, Came, read_moment
from taskflow.dashboard.exporting import export
from taskflow.dashboard.terms import Filter, Moment, read_filter
from taskflow.dashboard.visit import Visit

NAMES = ("who", "did", "queue", "at")
SIZE = 100


def show(visit: Visit) -> Answer:
    """The record."""
    asked = visit.asked
    found = read_filter(asked.one("q"), NAMES, visit.now)
    rows: list[Action] = []
    following: str | None = None
    top, came = "", NOTHING_CAME
    if visit.broker.features.runs:
        query = ActionQuery(
            after=asked.one("after") or None, limit=SIZE, **_bounds(found, visit.now)
        )
        if not query.after and (top := asked.one("top")):
            query, came = _as_of(visit, found, query, read_moment(top))
        page = visit.broker.list_actions(query)
        rows = [one for one in page.actions if _keeps(found, one, visit.now)]
        following = page.next
        top = top or (repr(rows[0].at) if rows else "")
    file = export(
        asked,
        "record",
        [{name: getattr(one, name) for name in one.__struct_fields__} for one in rows],
    )
    if file is not None:
        return file
    return visit.page(
        "record.html",
        "/record",
        rows=rows,
        next=following or "",
        top=top,
        came=came,
        found=found,
        names=NAMES,
        kept=visit.broker.features.runs,
        more_terms=[] if found.text else [(f"who:{visit.who.name}", "only mine")],
    )


def _as_of(visit: Visit, found: Filter, query: ActionQuery, top: float) -> tuple[ActionQuery, Came]:
    """The question for what was there when the first row had been noted at `top`, and what came
    since."""
    begin = nextafter(top, inf)
    newer = structs.replace(query, at_from=max(begin, query.at_from or begin), limit=MOST_CAME)
    page = visit.broker.list_actions(newer)
    count = sum(_keeps(found, one, visit.now) for one in page.actions)
    older = structs.replace(query, at_before=min(begin, query.at_before or begin))
    return older, Came(count, bool(count) and page.next is not None)


def _bounds(found: Filter, now: float) -> dict[str, Any]:
    """What the broker itself can be asked for: one name each, and times."""
    asked: dict[str, Any] = {}
    for term in found.terms:
        plain = len(term.values) == 1 and not term.negated and not term.values[0].endswith("*")
        if term.name in ("who", "did", "queue") and plain:
            asked[term.name] = term.values[0]
        elif term.name == "at" and term.ranges and not term.negated:
            asked["at_from"], asked["at_before"] = term.ranges[0].moments(now)
    return asked


def _keeps(found: Filter, one: Action, now: float) -> bool:
    return found.keeps(
        {
            "who": lambda: one.who,
            "did": lambda: one.did,
            "queue": lambda: one.queue,
            "at": lambda: Moment(one.at),
        },
        lambda: " ".join(filter(None, (one.who, one.did, one.queue, one.target, one.result))),
        now,
    )
