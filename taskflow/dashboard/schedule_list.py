"""`/schedules`: what is due by the clock, what is late first."""

from collections.abc import Callable
from typing import Any

from taskflow.dashboard.answer import Answer
from taskflow.dashboard.exporting import export
from taskflow.dashboard.sorting import read_sort, sorted_page
from taskflow.dashboard.survey import Survey
from taskflow.dashboard.terms import Filter, Moment, read_filter
from taskflow.dashboard.visit import Visit
from taskflow.dashboard.writing import write_span
from taskflow.scheduling.schedule import Schedule

NAMES = ("task", "topic", "queue", "state", "next", "is")
KEYS: dict[str, Callable[[Schedule], Any]] = {
    "name": lambda one: one.name,
    "next": lambda one: one.next_tick,
    "last": lambda one: one.last_tick,
    "fired": lambda one: one.fired,
    "missed": lambda one: one.missed + one.skipped,
}


def show(visit: Visit) -> Answer:
    """The schedules."""
    survey, asked = visit.survey(), visit.asked
    found = read_filter(asked.one("q"), NAMES, visit.now)
    kept = [one for one in survey.schedules if _keeps(found, survey, one)]
    sort = read_sort(asked.one("sort"), KEYS, "next")
    page, total, following = sorted_page(
        kept, sort, KEYS[sort.key], lambda one: one.name, asked.one("after")
    )
    if "sort" not in asked.fields():
        page.sort(key=lambda one: not survey.is_late(one))
    if (file := export(asked, "schedules", [_row(survey, one) for one in page])) is not None:
        return file
    late = sum(map(survey.is_late, survey.schedules))
    ahead = sorted(
        (one.next_tick, one.name) for one in survey.schedules if one.next_tick is not None
    )
    return visit.page(
        "schedules.html",
        "/schedules",
        survey=survey,
        late=late,
        found=found,
        names=NAMES,
        rows=[(one, *state_of(survey, one), timing(one)) for one in page],
        total=total,
        next=following,
        ahead=[(at, name) for at, name in ahead if at >= visit.now][:8],
        sort=sort,
        resort=lambda key: asked.again(sort=key),
    )


def state_of(survey: Survey, one: Schedule) -> tuple[str, str, str]:
    """Sign, word and a note."""
    if one.state == "unreadable":
        return "bad", "unreadable", "put it again, or remove it"
    if one.failed:
        return "bad", "failed", f"could not be started {one.failed} times"
    if survey.is_late(one) and one.due_at is not None:
        return "bad", "late", f"due {write_span(survey.at - one.due_at)} ago; no worker starts it"
    if one.missing_since is not None:
        return "hold" if one.state == "paused" else "warn", one.state, "gone from the code"
    if one.state == "paused":
        return "hold", "paused", ""
    if one.state == "ended":
        return "idle", "ended", ""
    if one.waiting is not None:
        return "warn", "waits", "for the run before to end"
    if one.last_tick is None:
        return "idle", "never ran", ""
    return "", "on time", ""


def timing(one: Schedule) -> str:
    """When it is due, as it was written."""
    if one.every is not None:
        return f"every {write_span(one.every)}"
    return one.cron or "once"


def _keeps(found: Filter, survey: Survey, one: Schedule) -> bool:
    return found.keeps(
        {
            "task": lambda: one.task,
            "topic": lambda: one.topic,
            "queue": lambda: one.queue,
            "state": lambda: one.state,
            "next": lambda: None if one.next_tick is None else Moment(one.next_tick),
            "is": lambda: "late" if survey.is_late(one) else state_of(survey, one)[1],
        },
        lambda: " ".join(filter(None, (one.name, one.task, one.topic, one.cron))),
        survey.at,
    )


def _row(survey: Survey, one: Schedule) -> dict[str, object]:
    return {
        "schedule": one.name,
        "state": state_of(survey, one)[1],
        "timing": timing(one),
        "zone": one.tz,
        "task": one.task,
        "topic": one.topic,
        "queue": one.queue,
        "next": one.next_tick,
        "last": one.last_tick,
        "fired": one.fired,
        "skipped": one.skipped,
        "missed": one.missed,
    }
