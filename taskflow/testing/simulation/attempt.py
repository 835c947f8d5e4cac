"""One attempt of a simulation, and how attempts read as text."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from taskflow.errors import Reject
from taskflow.retry import Done, Outcome, Retry
from taskflow.worker.job import Job

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # of which the end is enough
_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))


@dataclass(frozen=True, slots=True)
class Attempt:
    """One start of a handler, by one of the simulated workers.

    `at` and `ended_at` in epoch seconds. `topic` of a task's message is empty. `outcome` is `done`,
    `duplicate` (the queue had finished this event before), `skipped: …`, `waits` (a workflow, for
    what it has said), `failed: …` (it is tried again), `dead: …` (it is not) or `crashed`; `error`
    is what the handler raised.
    """

    topic: str
    id: str
    queue: str
    handler: str
    number: int
    worker: str
    at: float
    ended_at: float
    outcome: str
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class Befallen:
    """A fault that happened, at `at` (epoch seconds)."""

    at: float
    what: str


def attempt_of(
    job: Job, worker: str, at: float, ended_at: float, outcome: Outcome | None
) -> Attempt:
    """The attempt that a job was; without an outcome, its worker died."""
    delivery = job.delivery
    return Attempt(
        delivery.topic,
        delivery.id,
        delivery.queue,
        job.handler,
        delivery.receive_count,
        worker,
        at,
        ended_at,
        "crashed" if outcome is None else outcome_text(outcome),
        None if outcome is None else outcome.error,
    )


def outcome_text(outcome: Outcome) -> str:
    """An outcome in a few words."""
    if isinstance(outcome, Done):
        if outcome.duplicate:
            return "duplicate"
        if outcome.skipped == "suspended":
            return "waits"
        return "done" if outcome.skipped is None else f"skipped: {outcome.skipped}"
    error = outcome.error
    if isinstance(outcome, Retry):
        return f"failed: {type(error).__name__}"
    if error is None or isinstance(error, Reject):
        return f"dead: {outcome.reason}"
    return f"dead: {type(error).__name__}"


def span(seconds: float) -> str:
    """Seconds as people say them: `0.5 s`, `1 min 30 s`, `2 d 3 h`."""
    left, said = round(seconds, 3), []
    if left < 0:
        return f"-{span(-left)}"
    for size, unit in _UNITS:
        if left >= size:
            said.append(f"{int(left // size)} {unit}")
            left = round(left % size, 3)
    if left or not said:
        said.append(f"{left:g} s")
    return " ".join(said)


def story(attempts: Iterable[Attempt], start: float) -> str:
    """Attempts as a line: `0 s failed: Timeout; 1 s done`."""
    return "; ".join(f"{span(one.at - start)} {one.outcome}" for one in attempts)


def history(happened: Iterable[Attempt | Befallen], start: float) -> list[str]:
    """What happened as lines, with who did what."""
    return [_line(one, start) for one in happened]


def _line(one: Attempt | Befallen, start: float) -> str:
    if isinstance(one, Befallen):
        return f"{span(one.at - start)}: !! {one.what}"
    id = one.id.rpartition("-")[2] if _UUID.fullmatch(one.id) else one.id
    what = f"event {one.topic}" if one.topic else "task"
    return (
        f"{span(one.at - start)}: {one.worker} {one.handler} ({what} {id}, attempt "
        f"{one.number}): {one.outcome}"
    )
