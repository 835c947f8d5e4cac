"""`/workflows/ID`: one run as a tree, and why it waits."""

from contextlib import suppress
from typing import NamedTuple

import msgspec
from markupsafe import Markup

from taskflow.dashboard.answer import Answer
from taskflow.dashboard.code_view import Code, write_payload, write_traceback
from taskflow.dashboard.drawing import gantt
from taskflow.dashboard.hidden_values import NOTHING_HIDDEN, HiddenValues
from taskflow.dashboard.queue_view import Sign
from taskflow.dashboard.run_list import sign_of
from taskflow.dashboard.visit import Visit
from taskflow.errors import NoResult
from taskflow.payload import UNREADABLE
from taskflow.sealing.codec import shown_raw
from taskflow.tasks.describing import describe_runs
from taskflow.tasks.run import FINAL, Row, RunError, load
from taskflow.workflows.tree import Branch, Leaf, tree_of

DEEPEST = 3
MOST_ROWS = 500
STEP_SIGNS: dict[str, Sign] = {
    "done": "",
    "failed": "bad",
    "waiting": "run",
    "retrying": "warn",
    "started": "run",
}


class TreeRow(NamedTuple):
    """A line of the tree. `run` is the id of a child run, "" for a step. Times in epoch seconds."""

    depth: int
    name: str
    run: str
    sign: Sign
    word: str
    began: float | None
    took: float | None
    bars: Markup
    result: Code | None
    error: str


def show(visit: Visit, id: str) -> Answer:
    """The run. Raises NoResult for one that is not there."""
    found = load(visit.broker, [id]).get(id)
    if found is None:
        raise NoResult(f"there is no run {id!r}, or not any more")
    tree = tree_of(visit.broker, id)
    (facts,) = describe_runs(visit.broker, [found], bodies=True)
    bodies = visit.may("bodies")
    end = tree.finished_at or visit.now
    rows: list[TreeRow] = []
    sign, word = sign_of(tree.state)
    shown = {"args": facts["args"], "kwargs": facts["kwargs"]}
    hidden = _hidden(visit, found, tree) if bodies else NOTHING_HIDDEN
    span = tree.created_at, max(end, tree.created_at + 0.001)
    _add(visit, tree, 0, span, hidden, rows)
    return visit.page(
        "run.html",
        "/workflows",
        id=id,
        tree=tree,
        facts=facts,
        sign=sign,
        word=word,
        ended=tree.state in FINAL,
        durable=found.run.durable is not None,
        awaits=[] if found.run.durable is None else list(filter(None, found.run.durable.awaits)),
        rows=rows[:MOST_ROWS],
        rows_in_all=len(rows),
        steps_done=sum(1 for one in tree.steps if one.state == "done"),
        retried=[one for one in tree.steps if one.attempts > 1 or one.error is not None],
        error=error_text(visit, tree.error, hidden),
        traceback=_traceback(visit, tree.error, hidden) if bodies else None,
        input=write_payload(msgspec.json.encode(shown).decode(), visit.hiding) if bodies else None,
        result=_code(visit, facts["result"]) if bodies and tree.state == "done" else None,
        root=None if found.run.place is None else found.run.place.root,
        trace=found.run.trace,
        error_text=lambda error: error_text(visit, error, hidden),
    )


def _hidden(visit: Visit, row: Row, tree: Branch) -> HiddenValues:
    """What is hidden of all that an error on the page may quote: the inputs of the run and its
    child runs, and what their steps returned."""
    values: list[object] = []
    rows, branches = [row], [tree]
    for branch in branches:
        values += (step.result for step in branch.steps)
        for step in branch.steps:
            if step.runs:
                rows += load(visit.broker, [one.id for one in step.runs]).values()
                branches += step.runs
    for one in rows:
        for raw in (one.run.args, one.run.kwargs):
            with suppress(*UNREADABLE):  # nobody has read, and quotes, what cannot be read
                values.append(msgspec.json.decode(shown_raw(raw)))
    return visit.hiding.values(values)


def error_text(visit: Visit, error: RunError | None, hidden: HiddenValues) -> str:
    """An error as its reader may see it: its words are a body's, and may quote what is hidden."""
    if error is None:
        return ""
    kind = error.type.rpartition(".")[2]
    if not visit.may("bodies") or not error.message:
        return kind
    return f"{kind}: {visit.hiding.quoted(error.message, hidden)}"


def _add(
    visit: Visit,
    tree: Branch,
    depth: int,
    span: tuple[float, float],
    hidden: HiddenValues,
    rows: list[TreeRow],
) -> None:
    sign, word = sign_of(tree.state)
    began = tree.started_at or tree.created_at
    end = tree.finished_at or visit.now
    colour = {"failed": "bad", "done": "out"}.get(tree.state, "run")
    if tree.state == "suspended":
        colour = "wait"
    name = tree.task.rpartition(".")[2]
    bars = gantt([_bar(began, end, span, colour)])
    error = error_text(visit, tree.error, hidden)
    run = tree.id if depth else ""
    rows.append(
        TreeRow(min(depth, DEEPEST), name, run, sign, word, began, end - began, bars, None, error)
    )
    for step in tree.steps:
        if len(rows) > MOST_ROWS:
            return
        _add_step(visit, step, depth + 1, span, hidden, rows)


def _add_step(
    visit: Visit,
    step: Leaf,
    depth: int,
    span: tuple[float, float],
    hidden: HiddenValues,
    rows: list[TreeRow],
) -> None:
    word = step.state if step.attempts <= 1 else f"{step.state}, attempt {step.attempts}"
    if step.state == "waiting":
        word = "waits"
    took = step.took or (visit.now - step.time if step.state == "waiting" else 0.0)
    colour = {"failed": "bad", "retrying": "warn", "waiting": "wait"}.get(step.state, "out")
    began = step.time - step.took if step.state in ("done", "failed") else step.time
    result = None
    if visit.may("bodies") and step.state == "done" and step.result is not None:
        result = _code(visit, step.result)
    rows.append(
        TreeRow(
            min(depth, DEEPEST),
            step.id,
            "",
            STEP_SIGNS.get(step.state, "idle"),
            word,
            began,
            took,
            gantt([_bar(began, began + took, span, colour)]),
            result,
            error_text(visit, step.error, hidden),
        )
    )
    for run in step.runs:
        if len(rows) <= MOST_ROWS:
            _add(visit, run, depth + 1, span, hidden, rows)


def _bar(
    began: float, ended: float, span: tuple[float, float], colour: str
) -> tuple[float, float, str]:
    whole = span[1] - span[0]
    return (began - span[0]) / whole, (ended - began) / whole, colour


def _traceback(visit: Visit, error: RunError | None, hidden: HiddenValues) -> Markup | None:
    if error is None or not error.traceback:
        return None
    return write_traceback(visit.hiding.quoted(error.traceback, hidden))


def _code(visit: Visit, value: object) -> Code:
    return write_payload(msgspec.json.encode(value).decode(), visit.hiding)
