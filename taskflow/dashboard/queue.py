"""`/queues/NAME`: one queue, what it was like, who works on it, and what lies in it."""

from taskflow.broker.history import EVERYTHING, KEPT
from taskflow.broker.message_query import MessageQuery
from taskflow.broker.settings import QueueSettings
from taskflow.dashboard.answer import Answer, Refused
from taskflow.dashboard.deploys import deploys_of
from taskflow.dashboard.exporting import export
from taskflow.dashboard.history_charts import Steps, figures, flow_chart, level_chart, wait_chart
from taskflow.dashboard.inspected_broker import causes_of, history_of
from taskflow.dashboard.message_rows import Rows, export_row, find_rows, peek_rows
from taskflow.dashboard.message_terms import NAMES, WITH_BODIES, narrowed, to_query
from taskflow.dashboard.queue_view import QueueView
from taskflow.dashboard.start import read_span
from taskflow.dashboard.survey import LOST
from taskflow.dashboard.terms import read_filter
from taskflow.dashboard.visit import Visit
from taskflow.dashboard.worker_list import queue_lines, state_of
from taskflow.errors import QueueNotFound

TABS = (
    ("Waiting", "waiting", "visible"),
    ("Running", "in_flight", "in_flight"),
    ("Delayed", "delayed", "delayed"),
    ("Dead", "dead", ""),
)
MOST_CAUSES = 5
NO_ROWS = Rows([], "", 0, None)
NOT_LOOKED = "This broker shows a message to who receives it, so what lies in a queue is no file."


def show(visit: Visit, name: str) -> Answer:
    """The queue. Raises QueueNotFound."""
    survey, asked = visit.survey(), visit.asked
    if name not in survey.settings:
        raise QueueNotFound(name, survey.settings)
    one = survey.queues.get(name) or QueueView(name, "", visit.broker.counts(name))
    settings = survey.settings[name]
    names = WITH_BODIES if visit.may("bodies") else NAMES
    found = read_filter(asked.one("q"), names, visit.now)
    inspected = visit.broker.features.inspection
    if inspected:
        query = to_query(found, survey.settings, visit.now, visit.may("bodies"))
        rows = find_rows(visit, _within(query, name, settings, name in survey.dlqs), found)
    elif visit.peeks:
        rows = peek_rows(visit, name)
    elif asked.one("as") in ("csv", "jsonl"):
        raise Refused(400, NOT_LOOKED)
    else:
        rows = NO_ROWS
    if (
        asked.one("as") != "table"
        and (file := export(asked, "messages", (export_row(visit, row) for row in rows.rows)))
        is not None
    ):
        return file
    span = read_span(visit)
    history = history_of(visit.broker, span, [name, EVERYTHING])
    steps = Steps([history.get(name, ())], span, visit.now)
    deploys = deploys_of(visit.broker, history.get(EVERYTHING, ()), visit.now - KEPT[span])
    numbers = {
        "waiting": one.counts.visible,
        "in_flight": one.counts.in_flight,
        "delayed": one.counts.delayed,
        "dead": one.letters,
    }
    return visit.page(
        "queue.html",
        "/queues",
        looks=not found.reads_bodies,
        one=one,
        settings=settings,
        owners=survey.dlqs.get(name),
        topics=[sub for sub in survey.subscriptions if sub.queue == name],
        workers=[
            (by, *state_of(survey, by))
            for by in survey.workers
            if name in by.queues and survey.at - by.seen_at <= 10 * LOST
        ],
        handlers=queue_lines(survey.workers, name),
        causes=[cause for cause in causes_of(visit.broker) if cause.source == name][:MOST_CAUSES],
        tabs=[
            (word, state, numbers[state])
            for word, state, _ in TABS
            if inspected and (state != "dead" or one.dlq)
        ],
        found=found,
        names=names,
        peeks=visit.peeks,
        messages=rows,
        span_shown=span,
        steps=steps,
        flow=flow_chart(steps, name, deploys),
        levels=level_chart(steps, name, deploys),
        waits=wait_chart(steps, f"{name}, from sent to started", deploys),
        deploys=deploys,
        no_chart="Draws from the second minute on.",
        figures=figures(steps, steps) if asked.one("as") == "table" else None,
    )


def _within(query: MessageQuery, name: str, settings: QueueSettings, is_dlq: bool) -> MessageQuery:
    """The question, about one queue: what lies in it, or died there."""
    if query.of_letters and not is_dlq and settings.dead_letter_queue is not None:
        return narrowed(query, queues=[settings.dead_letter_queue], sources=[name])
    return narrowed(query, queues=[name])
