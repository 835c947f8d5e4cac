"""`/search`: everything, from one line."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from taskflow.dashboard.answer import Answer
from taskflow.dashboard.exporting import export
from taskflow.dashboard.inspected_broker import causes_of
from taskflow.dashboard.message_rows import Rows, export_row, find_rows
from taskflow.dashboard.message_terms import NAMES, WITH_BODIES, narrowed, to_query
from taskflow.dashboard.queue_view import Sign
from taskflow.dashboard.run_list import sign_of
from taskflow.dashboard.terms import Filter, read_filter
from taskflow.dashboard.visit import Visit
from taskflow.dashboard.wrongs import cause_place, cause_title
from taskflow.tasks.run import load

MOST_HITS = 10
"""Of one kind, where all kinds are shown."""
LEAST_WORD = 3
"""Characters of a word that names are looked through for."""


class Hit(NamedTuple):
    """What was found, other than a message."""

    sign: Sign
    word: str
    title: str
    detail: str
    path: str
    query: Mapping[str, str] = {}


class Kind(NamedTuple):
    """Hits of a kind: its name in the address, what it is called, and how many there are."""

    name: str
    title: str
    hits: Sequence[Hit]
    total: int


def show(visit: Visit) -> Answer:
    """What was found. A word alone is an id, a name, an error; where bodies may be seen, anything
    in them too."""
    asked, bodies = visit.asked, visit.may("bodies")
    names: Sequence[str] = WITH_BODIES if bodies else NAMES
    if not visit.broker.features.inspection:
        names = ()
    found = read_filter(asked.one("q"), names, visit.now)
    kinds = _kinds(visit, found) if found.words and not found.terms else []
    rows, exact = _messages(visit, found)
    if rows is not None and (
        file := export(asked, "messages", (export_row(visit, row) for row in rows.rows))
    ):
        return file
    within = asked.one("in")
    total = sum(kind.total for kind in kinds) + (len(rows.rows) if rows is not None else 0)
    return visit.page(
        "search.html",
        "/search",
        looks=False,
        found=found,
        names=names,
        kinds=[kind for kind in kinds if within in ("", kind.name)],
        all_kinds=kinds,
        within=within,
        total=total,
        messages=rows if within in ("", "messages") else None,
        number=len(rows.rows) if rows is not None else 0,
        exact=exact,
    )


def _messages(visit: Visit, found: Filter) -> tuple[Rows | None, bool]:
    """Messages that fit, and whether the word was taken for an id. A single word that is an id of
    something is that, and bodies are not looked through for it."""
    if not visit.broker.features.inspection or not found.text:
        return None, False
    settings, bodies = visit.survey().settings, visit.may("bodies")
    if len(found.words) == 1 and not found.terms and not found.words[0].endswith("*"):
        by_id = Filter(found.text, (), ())
        query = to_query(by_id, settings, visit.now, bodies)
        word = found.words[0]
        for fields in ({"ids": [word]}, {"keys": [word]}, {"groups": [word]}):
            rows = find_rows(visit, narrowed(query, **fields), by_id)
            if rows.rows:
                return rows, True
        if not bodies:
            return rows, True
    return find_rows(visit, to_query(found, settings, visit.now, bodies), found), False


def _kinds(visit: Visit, found: Filter) -> list[Kind]:
    """Queues, causes, schedules, runs and workers by their names."""
    survey = visit.survey()
    words = [word.casefold() for word in found.words]
    short = min(map(len, words)) < LEAST_WORD

    def holds(*texts: str | None) -> bool:
        text = " ".join(one for one in texts if one).casefold()
        return not short and all(word in text for word in words)

    queues = [
        Hit(*one.state, one.name, f"{one.counts.visible:,} wait", f"/queues/{one.name}")
        for one in survey.queues.values()
        if holds(one.name, one.dlq)
    ]
    causes = [
        Hit(
            "bad",
            f"{one.count:,} dead",
            f"{cause_title(one)} in {one.source}",
            cause_place(one),
            "/dead",
            {"open": one.id},
        )
        for one in causes_of(visit.broker)
        if holds(one.error, one.place, one.reason, one.handler, one.source)
    ]
    planned = [
        Hit("", one.state, one.name, one.task or one.topic or "", "/schedules", {"q": one.name})
        for one in survey.schedules
        if holds(one.name, one.task, one.topic)
    ]
    workers = [
        Hit("run", "worker", f"{one.host} pid {one.pid}", ", ".join(one.queues[:6]), "/workers")
        for one in survey.workers
        if holds(one.host, one.id, *one.queues)
    ]
    runs: list[Hit] = []
    if visit.broker.features.runs and len(found.words) == 1:
        runs = [
            Hit(*sign_of(row.state), f"{row.run.task} {id}", row.run.queue, f"/workflows/{id}")
            for id, row in load(visit.broker, [found.words[0]]).items()
        ]
    every = (
        ("queues", "Queues", queues),
        ("dead", "Causes of dead letters", causes),
        ("runs", "Runs", runs),
        ("schedules", "Schedules", planned),
        ("workers", "Workers", workers),
    )
    most = MOST_HITS if not visit.asked.one("in") else 500
    return [Kind(name, title, hits[:most], len(hits)) for name, title, hits in every if hits]
