"""What is wrong, worst first: what needs a person, then what ends by itself or is willed."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from taskflow.broker.cause import Cause
from taskflow.clock import rfc3339
from taskflow.dashboard.drawing import Values
from taskflow.dashboard.queue_view import BEHIND, QueueView, Sign
from taskflow.dashboard.survey import Survey
from taskflow.dashboard.writing import write_number, write_plural, write_span

_HOUR = 3600.0
MOST_CAUSES = 3
"""Causes of dead letters that have a line of their own."""
MOST_LINES = 8
"""Lines of one kind; the others are one more line."""


class Wrong(NamedTuple):
    """A line of the start page. `path` and `query` are the page that shows it; `values` are drawn;
    `aside` and `since` stand at the right."""

    sign: Sign
    word: str
    title: str
    detail: str
    path: str
    query: Mapping[str, str] = {}
    values: Values = ()
    aside: str = ""
    since: float | None = None


def find_wrongs(survey: Survey, causes: Sequence[Cause]) -> list[Wrong]:
    """All lines, in the order to read them."""
    return [
        *_letters(survey, causes),
        *_unworked(survey),
        *_late(survey),
        *_failed(survey),
        *_behind(survey),
        *_paused(survey),
        *_lost(survey),
    ]


def cause_title(cause: Cause) -> str:
    """A cause in a few words."""
    if cause.error:
        return cause.error.rpartition(".")[2]
    return cause.reason or "no reason given"


def cause_place(cause: Cause) -> str:
    """Where it happened, as far as it is known."""
    return " · ".join(filter(None, (cause.place, cause.handler)))


def _letters(survey: Survey, causes: Sequence[Cause]) -> list[Wrong]:
    begin = rfc3339((survey.at // _HOUR - 1) * _HOUR)[11:16]  # they are counted by the hour
    found = [
        Wrong(
            "bad",
            "dead letters",
            f"{cause.count:,} × {cause_title(cause)} in {cause.source}",
            " · ".join(filter(None, (cause_place(cause), cause.reason if cause.error else ""))),
            "/dead",
            {"open": cause.id},
            list(cause.trend),
            f"+{sum(cause.trend[-2:]):,} from {begin} on",
            cause.first_at,
        )
        for cause in causes[:MOST_CAUSES]
    ]
    if rest := causes[MOST_CAUSES:]:
        words = [f"{cause_title(one)} {one.count:,}" for one in rest[:6]]
        count = sum(one.count for one in rest)
        found.append(
            Wrong(
                "bad",
                "dead letters",
                f"{count:,} more, of {write_plural(len(rest), 'other cause')}",
                " · ".join(words) + (" …" if len(rest) > 6 else ""),
                "/dead",
                aside=f"in {write_plural(len({one.source for one in rest}), 'queue')}",
                since=min(one.first_at for one in rest),
            )
        )
    if not causes and survey.letters:  # a broker that does not tell causes
        having = sorted(
            (one for one in survey.queues.values() if one.letters), key=lambda one: -one.letters
        )
        for one in having[:MOST_LINES]:
            title = f"{write_plural(one.letters, 'dead letter')} of {one.name}"
            found.append(Wrong("bad", "dead letters", title, f"in {one.dlq}", f"/queues/{one.dlq}"))
        if more := having[MOST_LINES:]:
            title = f"{sum(one.letters for one in more):,} more, of {len(more)} queues"
            found.append(Wrong("bad", "dead letters", title, "", "/queues", {"q": "dead:>0"}))
    return found


def _unworked(survey: Survey) -> list[Wrong]:
    found = [one for one in survey.queues.values() if one.is_unworked]
    return _lines(
        found,
        lambda one: Wrong(
            "bad",
            "no worker",
            f"{one.name}: {write_number(one.counts.visible)} wait and nobody works on it",
            "No worker of this queue has reported in the last 30 s: taskflow worker",
            f"/queues/{one.name}",
            aside=f"oldest {write_span(one.backlog)}",
        ),
        lambda count: Wrong(
            "bad", "no worker", f"{count} more queues without a worker", "", "/queues", _IS_UNWORKED
        ),
    )


_IS_UNWORKED = {"q": "is:unworked"}


def _late(survey: Survey) -> list[Wrong]:
    found = []
    for one in filter(survey.is_late, survey.schedules):
        if one.state == "unreadable":
            title, detail = f"{one.name} cannot be read", "Put it again, or remove it."
        elif one.failed:
            title = f"{one.name} could not be started {one.failed} times"
            detail = "The log of the workers says why."
        else:
            title, detail = f"{one.name} has not run", "No worker starts what is due."
        aside = "" if one.due_at is None else f"{write_span(survey.at - one.due_at)} late"
        found.append(
            Wrong("bad", "late", title, detail, "/schedules", aside=aside, since=one.due_at)
        )
    return found[:MOST_LINES]


def _failed(survey: Survey) -> list[Wrong]:
    found = []
    for name, states in survey.workflows.items():
        if count := states.get("failed", 0):
            found.append(
                Wrong(
                    "bad",
                    "failed",
                    f"{write_plural(count, 'run')} of {name} failed",
                    "They wait until somebody retries or cancels them.",
                    "/workflows",
                    {"q": f"state:failed task:{name}"},
                    aside=f"{count:,} of {sum(states.values()):,} kept",
                )
            )
    return sorted(found, key=lambda one: one.title)[:MOST_LINES]


def _behind(survey: Survey) -> list[Wrong]:
    found = [one for one in survey.queues.values() if one.is_behind]
    return _lines(
        found,
        lambda one: Wrong(
            "warn",
            "behind",
            f"{one.name}: the oldest waits {write_span(one.backlog)}",
            _speed(one),
            f"/queues/{one.name}",
            aside=f"{write_number(one.counts.visible)} wait",
        ),
        lambda count: Wrong(
            "warn", "behind", f"{count} more queues are behind", "", "/queues", {"q": "is:behind"}
        ),
    )


def _speed(one: QueueView) -> str:
    if one.outgoing is None or one.incoming is None:
        return f"More than {write_span(BEHIND)} is to be watched."
    said = f"{write_number(one.outgoing)}/s handled, {write_number(one.incoming)}/s come in"
    until = one.until_empty
    return f"{said}: empty again in about {write_span(until)}" if until else said


def _paused(survey: Survey) -> list[Wrong]:
    found = [one for one in survey.queues.values() if one.paused]
    return _lines(
        found,
        lambda one: Wrong(
            "hold",
            "paused",
            f"{one.name}: {write_number(one.counts.visible)} wait",
            "Nobody receives from it until it is resumed.",
            f"/queues/{one.name}",
            aside=f"oldest {write_span(one.backlog)}" if one.backlog else "",
        ),
        lambda count: Wrong(
            "hold", "paused", f"{count} more queues are paused", "", "/queues", {"q": "is:paused"}
        ),
    )


def _lost(survey: Survey) -> list[Wrong]:
    return [
        Wrong(
            "warn",
            "lost",
            f"{one.host} pid {one.pid} has not reported for {write_span(survey.at - one.seen_at)}",
            f"It had {write_plural(one.busy, 'message')}: others get them when their leases end.",
            "/workers",
            aside=f"ran {write_span(one.seen_at - one.started_at)}",
            since=one.seen_at,
        )
        for one in survey.lost[:MOST_LINES]
    ]


def _lines(
    found: list[QueueView], line: Callable[[QueueView], Wrong], rest: Callable[[int], Wrong]
) -> list[Wrong]:
    """A line each for the worst, and one for all others."""
    worst = sorted(found, key=lambda one: one.rank)
    lines = [line(one) for one in worst[:MOST_LINES]]
    return [*lines, rest(len(worst) - MOST_LINES)] if len(worst) > MOST_LINES else lines
