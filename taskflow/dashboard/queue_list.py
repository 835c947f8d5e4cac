"""`/queues`: every queue, filtered, sorted, by group."""

from collections.abc import Callable
from typing import Any

from taskflow.dashboard.answer import Answer
from taskflow.dashboard.exporting import export
from taskflow.dashboard.history_charts import waiting_spark
from taskflow.dashboard.inspected_broker import history_of
from taskflow.dashboard.queue_view import QueueView
from taskflow.dashboard.sorting import read_sort, sorted_page
from taskflow.dashboard.survey import Survey
from taskflow.dashboard.terms import Filter, read_filter
from taskflow.dashboard.visit import Visit

NAMES = (
    "queue",
    "is",
    "state",
    "group",
    "topic",
    "dead",
    "waiting",
    "backlog",
    "running",
    "workers",
)
KEYS: dict[str, Callable[[QueueView], Any]] = {
    "name": lambda one: one.name,
    "dead": lambda one: one.letters,
    "waiting": lambda one: one.counts.visible,
    "backlog": lambda one: one.backlog or 0.0,
    "running": lambda one: one.counts.in_flight,
    "in": lambda one: one.incoming,
    "out": lambda one: one.outgoing,
    "workers": lambda one: one.workers,
}
TABS = (
    ("Not idle", None),
    ("All", ""),
    ("Wrong", "is:wrong"),
    ("Behind", "is:behind"),
    ("Paused", "is:paused"),
    ("No worker", "is:unworked"),
    ("With dead letters", "dead:>0"),
    ("Idle", "is:idle"),
)


def show(visit: Visit) -> Answer:
    """The queues."""
    survey, asked = visit.survey(), visit.asked
    text = asked.one("q") if "q" in asked.fields() else "-is:idle"
    found = read_filter(text, NAMES, visit.now)
    topics = _topics(survey)
    kept = [one for one in survey.queues.values() if _keeps(found, one, topics, visit.now)]
    sort = read_sort(asked.one("sort"), KEYS, "-backlog")
    page, total, following = sorted_page(
        kept, sort, KEYS[sort.key], lambda one: one.name, asked.one("after")
    )
    if (file := export(asked, "queues", [_row(one) for one in page])) is not None:
        return file
    grouped = "sort" not in asked.fields() and asked.one("by") != "none"
    hour = history_of(visit.broker, "hour")
    tabs = [
        (word, wanted, sum(1 for one in survey.queues.values() if _wanted(wanted, one)))
        for word, wanted in TABS
    ]
    return visit.page(
        "queues.html",
        "/queues",
        survey=survey,
        tabs=tabs,
        current=asked.fields().get("q", [None])[-1],
        found=found if "q" in asked.fields() else read_filter("", NAMES, visit.now),
        names=NAMES,
        groups=_groups(page, survey) if grouped else [("", total, page)],
        grouped=grouped,
        total=total,
        page=page,
        next=following,
        sort=sort,
        resort=lambda key: asked.again(sort=key),
        spark=lambda one: waiting_spark(
            hour, one.name, survey.at, one.is_unworked or one.is_behind
        ),
    )


def _keeps(found: Filter, one: QueueView, topics: dict[str, list[str]], now: float) -> bool:
    return found.keeps(
        {
            "queue": lambda: one.name,
            "is": lambda: _is(one),
            "state": lambda: one.state[1],
            "group": lambda: one.group,
            "topic": lambda: topics.get(one.name, []),
            "dead": lambda: one.letters,
            "waiting": lambda: one.counts.visible,
            "backlog": lambda: one.backlog or 0.0,
            "running": lambda: one.counts.in_flight,
            "workers": lambda: one.workers,
        },
        lambda: one.name,
        now,
    )


def _is(one: QueueView) -> list[str]:
    """What a queue may be called."""
    words = {
        "idle": one.is_idle,
        "paused": one.paused,
        "behind": one.is_behind,
        "unworked": one.is_unworked,
        "wrong": bool(one.letters or one.is_unworked),
    }
    return [word for word, holds in words.items() if holds]


def _wanted(wanted: str | None, one: QueueView) -> bool:
    """Whether a tab counts a queue."""
    if wanted is None:
        return not one.is_idle
    if wanted == "dead:>0":
        return one.letters > 0
    return not wanted or wanted.removeprefix("is:") in _is(one)


def _topics(survey: Survey) -> dict[str, list[str]]:
    """The topics that each queue gets."""
    found: dict[str, list[str]] = {}
    for one in survey.subscriptions:
        found.setdefault(one.queue, []).append(one.topic)
    return found


def _groups(page: list[QueueView], survey: Survey) -> list[tuple[str, int, list[QueueView]]]:
    """The queues of a page by group, the group with the worst queue first."""
    sizes = {group: len(some) for group, some in survey.groups.items()}
    found: dict[str, list[QueueView]] = {}
    for one in sorted(page, key=lambda one: one.rank):
        found.setdefault(one.group, []).append(one)
    return [(group, sizes[group], some) for group, some in found.items()]


def _row(one: QueueView) -> dict[str, object]:
    return {
        "queue": one.name,
        "group": one.group,
        "state": one.state[1],
        "dead_letters": one.letters,
        "dead_letter_queue": one.dlq,
        "waiting": one.counts.visible,
        "backlog_seconds": one.backlog,
        "running": one.counts.in_flight,
        "delayed": one.counts.delayed,
        "in_per_second": one.incoming,
        "out_per_second": one.outgoing,
        "workers": one.workers,
    }
