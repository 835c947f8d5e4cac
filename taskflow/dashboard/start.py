"""`/`: what is wrong first, then what was, then all queues."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from taskflow.broker.history import EVERYTHING, KEPT, Point, Span
from taskflow.dashboard.answer import Answer
from taskflow.dashboard.deploys import deploys_of
from taskflow.dashboard.drawing import spark
from taskflow.dashboard.history_charts import (
    Steps,
    age_chart,
    figures,
    flow_chart,
    wait_chart,
    waiting_spark,
)
from taskflow.dashboard.inspected_broker import causes_of, history_of
from taskflow.dashboard.queue_view import QueueView
from taskflow.dashboard.sorting import Sort
from taskflow.dashboard.survey import Survey
from taskflow.dashboard.visit import Visit
from taskflow.dashboard.wrongs import find_wrongs

MOST_ROWS = 12
BUSY = 10.0  # messages a second


def show(visit: Visit) -> Answer:
    """The start page."""
    survey = visit.survey()
    wrongs = find_wrongs(survey, causes_of(visit.broker))
    span = read_span(visit)
    history = history_of(visit.broker, span)
    hour = history if span == "hour" else history_of(visit.broker, "hour")
    together = history.get(EVERYTHING, ())
    deploys = deploys_of(visit.broker, together, visit.now - KEPT[span])
    waits = Steps([together], span, visit.now)
    own = [points for name, points in history.items() if name in survey.queues]
    steps = Steps(own, span, visit.now)
    rows = sorted(survey.queues.values(), key=lambda one: one.rank)[:MOST_ROWS]
    return visit.page(
        "start.html",
        "/",
        survey=survey,
        wrongs=wrongs,
        needing=sum(1 for one in wrongs if one.sign == "bad"),
        span_shown=span,
        steps=steps,
        flow=flow_chart(steps, "Messages in all queues", deploys),
        ages=age_chart(steps, "In all queues", deploys),
        waits=wait_chart(waits, "In all queues, from sent to started", deploys),
        deploys=deploys,
        figures=figures(steps, waits) if visit.asked.one("as") == "table" else None,
        cells=[(group, [_cell(one) for one in some]) for group, some in survey.groups.items()],
        rows=[("", len(rows), rows)],
        cells_wrong=sum(map(_is_wrong, survey.queues.values())),
        draw=spark,
        no_chart="Draws from the second minute on.",
        sort=Sort("", True),
        resort=lambda key: visit.asked.link("/queues", sort=key),
        spark=lambda one: _spark(survey, hour, one),
    )


def read_span(visit: Visit) -> Span:
    """Over what the charts go."""
    return "days" if visit.asked.one("span") in ("day", "days") else "hour"


def _spark(survey: Survey, history: Mapping[str, Sequence[Point]], one: QueueView) -> Markup:
    return waiting_spark(history, one.name, survey.at, one.is_unworked or one.is_behind)


def _is_wrong(one: QueueView) -> bool:
    return bool(one.letters or one.is_unworked or one.is_behind or one.paused)


def _cell(one: QueueView) -> tuple[str, str, str]:
    """Its colour, what is said of it, and its name; of one that is fine, the colour alone."""
    word = one.state[1]
    said = []
    if one.letters:
        said.append(f"{one.letters:,} dead letters")
    if word in ("no worker", "paused", "behind"):
        said.append(word)
    if said:
        bad = one.letters or one.is_unworked
        return ("bad" if bad else "warn"), f"{one.name}: {', '.join(said)}", one.name
    if one.is_idle or not (one.held or one.outgoing):
        return "", "", one.name
    return ("b2" if (one.outgoing or 0.0) >= BUSY or one.held >= 100 else "b1"), "", one.name
