"""A tree of runs as text: lines for people, and a Mermaid flowchart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from taskflow.clock import rfc3339
from taskflow.tasks.run import RunError

if TYPE_CHECKING:
    from taskflow.workflows.tree import Branch, Leaf

MARKS = {"done": "✓", "failed": "✗", "waiting": "…", "retrying": "↻", "started": "•"}
"""By the state of a step."""


def tree_lines(
    branch: Branch, indent: str = "", *, times: bool = False, bodies: bool = False
) -> Iterator[str]:
    """A line for each run, step and signal. `times` (UTC): of all of them; `bodies`: with what
    steps returned, and tracebacks."""
    head = f"{indent}{branch.task} {branch.id}: {branch.state}{_times(branch) if times else ''}"
    if branch.waits_for is not None:
        head += f", waits for {branch.waits_for}"
    yield head + _error(branch.error)
    yield from _traceback(branch.error, f"{indent}    ", bodies)
    for step in branch.steps:
        yield f"{indent}  {_step(step, times)}"
        yield from _traceback(step.error, f"{indent}      ", bodies)
        if bodies and step.state == "done" and step.result is not None:
            yield f"{indent}      returned {msgspec.json.encode(step.result).decode()}"
        for run in step.runs:
            yield from tree_lines(run, f"{indent}    ", times=times, bodies=bodies)
        if step.size > len(step.runs) > 1:
            yield f"{indent}    and {step.size - len(step.runs)} more"
    for name in branch.signals:
        yield f"{indent}  signal {name!r} waits to be taken"


def _times(branch: Branch) -> str:
    said = [f"called {_time(branch.created_at)}"]
    if branch.started_at is not None:
        said.append(f"begun {_time(branch.started_at)}")
    if branch.finished_at is not None:
        said.append(f"ended {_time(branch.finished_at)}")
    version = f", version {branch.version}" if branch.version > 1 else ""
    return f" ({', '.join(said)}{version})"


def _step(step: Leaf, times: bool) -> str:
    said = [_time(step.time)] if times else []
    if step.kind == "step" or step.took:
        said.append(f"{step.took:.3f} s")
    if step.attempts > 1:
        said.append(f"{step.attempts} attempts")
    if step.until is not None and step.state == "waiting":
        said.append(f"until {_time(step.until)}")
    facts = f" ({', '.join(said)})" if said else ""
    begun = ": begun, its end not seen" if step.state == "started" else ""
    return f"{MARKS[step.state]} {step.id}{facts}{begun}{_error(step.error)}"


def _error(error: RunError | None) -> str:
    return "" if error is None else f": {': '.join(filter(None, (error.type, error.message)))}"


def _traceback(error: RunError | None, indent: str, bodies: bool) -> Iterator[str]:
    if error is not None and bodies:
        for line in error.traceback.splitlines():
            yield f"{indent}{line}"


def _time(moment: float) -> str:
    return rfc3339(moment)[:19] + "Z"


def mermaid(branch: Branch) -> str:
    """The tree as a Mermaid flowchart."""
    lines = ["flowchart TD"]
    _draw(branch, "r", lines)
    return "\n".join(lines)


def _draw(branch: Branch, name: str, lines: list[str]) -> None:
    lines.append(f'  {name}(["{branch.task}<br/>{branch.state}"])')
    before = name
    for at, step in enumerate(branch.steps):
        here = f"{name}_{at}"
        text = step.id.replace('"', "'")
        lines.append(f'  {before} --> {here}["{MARKS[step.state]} {text}"]')
        for number, run in enumerate(step.runs):
            child = f"{here}_{number}"
            _draw(run, child, lines)
            lines.append(f"  {here} -.-> {child}")
        before = here
