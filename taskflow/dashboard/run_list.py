"""`/workflows`: the runs of workflows, failed ones first to see, and of tasks that are kept."""

from itertools import islice
from math import inf, nextafter

from taskflow.dashboard.answer import Answer, Refused
from taskflow.dashboard.came import MOST_CAME, NOTHING_CAME, Came, read_moment
from taskflow.dashboard.exporting import export
from taskflow.dashboard.queue_view import Sign
from taskflow.dashboard.terms import Filter, read_filter
from taskflow.dashboard.visit import Visit
from taskflow.tasks.listing import list_runs
from taskflow.tasks.run import STATES, Row, State, state_of
from taskflow.workflows.run_listing import newest_runs

NAMES = ("state", "task", "key", "error", "sent", "is")
SIZE = 100
MOST_READ = 1000
"""Runs that are looked at for one page."""
SIGNS: dict[str, Sign] = {
    "failed": "bad",
    "running": "run",
    "suspended": "run",
    "retrying": "warn",
    "waiting": "idle",
    "scheduled": "idle",
    "cancelled": "idle",
    "expired": "idle",
    "unknown": "idle",
}
WORDS = {"suspended": "waits"}


def show(visit: Visit) -> Answer:
    """The runs."""
    survey, asked = visit.survey(), visit.asked
    if not visit.broker.features.runs:
        raise Refused(404, "This broker keeps no runs.")
    failed = survey.failed_runs()
    text = asked.one("q") if "q" in asked.fields() or not failed else "state:failed"
    found = read_filter(text, NAMES, visit.now)
    after = asked.one("after")
    before = read_moment(after) if after else None
    top, came = "", NOTHING_CAME
    if not after and (top := asked.one("top")):
        before = nextafter(read_moment(top), inf)
        newer, are_more = _find(visit, found, before, None, MOST_CAME)
        came = Came(len(newer), bool(newer and are_more))
    rows, more = _find(visit, found, None, before)
    top = top or (repr(rows[0].created_at) if rows else "")
    if (file := export(asked, "runs", [_row(visit, one) for one in rows])) is not None:
        return file
    totals: dict[str, int] = {}
    for states in survey.workflows.values():
        for state, count in states.items():
            totals[state] = totals.get(state, 0) + count
    return visit.page(
        "runs.html",
        "/workflows",
        failed=failed,
        totals=totals,
        in_all=sum(totals.values()),
        by_name=sorted(survey.workflows.items()),
        found=found,
        names=NAMES,
        more_terms=[(f"task:{name}", f"+ {name}") for name in sorted(survey.workflows)[:6]],
        rows=[(one, *sign_of(state_of(one, visit.now))) for one in rows],
        more=more,
        top=top,
        came=came,
        waiting=_waiting(visit) if totals.get("suspended") else [],
    )


def sign_of(state: str) -> tuple[Sign, str]:
    """Sign and word of a run's state."""
    return SIGNS.get(state, ""), WORDS.get(state, state)


def _find(
    visit: Visit, found: Filter, since: float | None, before: float | None, size: int = SIZE
) -> tuple[list[Row], str]:
    """The runs of a page, newest first, called from `since` on and before `before` (epoch seconds),
    and what to ask `after` for more."""
    states: list[State] = []
    tasks: list[str] = []
    for term in found.terms:
        if term.negated:
            continue
        if term.name == "state":
            plain = ["suspended" if one == "waits" else one for one in term.values]
            if unknown := [one for one in plain if one not in STATES]:
                known = ("States: " + ", ".join(STATES[1:]) + ".",)
                raise Refused(400, f"No run is ever {unknown[0]}.", known)
            states += [one for one in STATES if one in plain]
        elif term.name == "task":
            tasks += [one for one in term.values if not one.endswith("*")]
        elif term.name == "sent" and term.ranges:
            ends = term.ranges[0]
            begin = ends.low if ends.moment else visit.now - (ends.high or 0.0)
            since = max(begin or 0.0, since or 0.0)
    if "all" in [value for term in found.of("is") for value in term.values]:
        page = list_runs(
            visit.broker, states=states, since=since, before=before, limit=MOST_READ
        ).runs
        read = iter(page)
    elif len(tasks) == 1:
        page = list_runs(
            visit.broker, task=tasks[0], states=states, since=since, before=before, limit=MOST_READ
        ).runs
        read = iter(page)
    else:
        every = newest_runs(visit.broker, states=states, since=since)
        read = (one for one in every if before is None or one.created_at < before)
    kept: list[Row] = []
    last: Row | None = None
    for one in islice(read, MOST_READ):
        last = one
        if _keeps(found, one, visit):
            kept.append(one)
        if len(kept) > size:
            return kept[:size], repr(kept[size - 1].created_at)
    more = last is not None and next(read, None) is not None
    return kept, repr(last.created_at) if more and last is not None else ""


def _keeps(found: Filter, one: Row, visit: Visit) -> bool:
    state = state_of(one, visit.now)
    error = one.run.error
    return found.keeps(
        {
            "state": lambda: [state, WORDS.get(state, state)],
            "task": lambda: one.run.task,
            "key": lambda: (one.run.key or "").rpartition("\n")[2],
            "error": lambda: "" if error is None else [error.type, error.type.rpartition(".")[2]],
            "sent": lambda: visit.now - one.created_at,
            "is": lambda: ["all", "workflow" if one.run.durable is not None else "task"],
        },
        lambda: " ".join((one.id, one.run.task, error.type if error else "")),
        visit.now,
    )


def _waiting(visit: Visit) -> list[tuple[str, str, int, float]]:
    """What runs wait for, by workflow, of those that are looked at for a page: the name of an event
    or signal, the workflow, how many, and since when the first of them was called."""
    found: dict[tuple[str, str], list[float]] = {}
    for one in islice(newest_runs(visit.broker, states=["suspended"]), MOST_READ):
        if one.run.durable is not None:
            for name in one.run.durable.awaits or ("",):
                key = (name or "a sleep, a retry or child runs", one.run.task)
                found.setdefault(key, []).append(one.created_at)
    lines = [(what, task, len(since), min(since)) for (what, task), since in found.items()]
    return sorted(lines, key=lambda line: -line[2])[:10]


def _row(visit: Visit, one: Row) -> dict[str, object]:
    return {
        "id": one.id,
        "task": one.run.task,
        "queue": one.run.queue,
        "state": state_of(one, visit.now),
        "created_at": one.created_at,
        "started_at": one.run.started_at,
        "finished_at": one.run.finished_at,
        "attempts": one.run.attempts,
        "error": None if one.run.error is None else one.run.error.type,
    }
