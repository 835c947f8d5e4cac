"""Waiting for several runs: all of them, the first, or each as it ends."""

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import TypeVar

from taskflow.broker import Broker
from taskflow.errors import NoResult, ResultTimeout
from taskflow.tasks.awaited_aside import patience, wait_aside
from taskflow.tasks.coroutine_patience import Patience
from taskflow.tasks.result import LOOK, Result, check_may_wait
from taskflow.tasks.run import FINAL, RUN

R = TypeVar("R")
AT_ONCE = 100  # runs that are watched at a time


def as_completed(
    results: Iterable[Result[R]], timeout: float | None = None, *, allow_wait: bool = False
) -> Iterator[Result[R]]:
    """The results, each once its run has ended, in whatever way, in the order in which they do: of
    many, the first hundred are watched at a time. `timeout` in seconds is for all of them.

    Raises ResultTimeout when it is over, NoResult for a run that is not there, WouldDeadlock inside
    a task, as `Result.get`. The results are of one broker.
    """
    return (one for one in _as_completed(results, timeout, allow_wait, None) if one is not None)


def _as_completed(
    results: Iterable[Result[R]],
    timeout: float | None,
    allow_wait: bool,
    patient: Patience | None,
) -> Iterator[Result[R] | None]:
    """None: it is another's turn."""
    left = {one.id: one for one in results}
    if not left:
        return
    broker = next(iter(left.values())).broker
    check_may_wait(allow_wait)
    until = None if timeout is None else broker.clock.now() + timeout
    seen: dict[str, int] = {}
    while left:
        watched = list(left)[:AT_ONCE]
        ended = _ended(broker, watched, seen, until, patient)
        if not ended:
            yield None
        for id in ended:
            yield left.pop(id)
            seen.pop(id)


def wait_all(
    results: Iterable[Result[R]], timeout: float | None = None, *, allow_wait: bool = False
) -> list[R]:
    """What all of them returned, in the order given. Raises as `as_completed` and `Result.get` do:
    for the first that failed, as soon as it has."""
    wanted = list(results)
    values = {one.id: one.get(0) for one in as_completed(wanted, timeout, allow_wait=allow_wait)}
    return [values[one.id] for one in wanted]


def wait_any(
    results: Iterable[Result[R]], timeout: float | None = None, *, allow_wait: bool = False
) -> Result[R]:
    """The first one that has ended. Raises as `as_completed` does, ValueError for none."""
    for one in as_completed(results, timeout, allow_wait=allow_wait):
        return one
    raise ValueError("wait_any waits for one of several results, and there are none")


async def as_completed_async(
    results: Iterable[Result[R]], timeout: float | None = None, *, allow_wait: bool = False
) -> AsyncIterator[Result[R]]:
    """`as_completed`, without holding up the event loop."""
    wanted, patient = list(results), patience()
    ended, left = _as_completed(wanted, timeout, allow_wait, patient), len(set(wanted))
    while left:
        one = await wait_aside(wanted[0].broker, patient, lambda: next(ended))
        if one is not None:
            left -= 1
            yield one


def _ended(
    broker: Broker,
    ids: list[str],
    seen: dict[str, int],
    until: float | None,
    patient: Patience | None,
) -> list[str]:
    """Which of these have ended, once some have; `seen` are the versions they were seen in. None of
    them: it is another's turn."""
    stop = None if patient is None else patient.has_ended
    if new := [id for id in ids if id not in seen]:
        there = broker.records(RUN, new)
        found = {id: there.get(id) for id in new}
    else:
        wait = LOOK if until is None else min(LOOK, until - broker.clock.now())
        if wait <= 0:
            raise ResultTimeout(f"{len(ids)} or more runs have not ended in time")
        look = wait if patient is None else patient.look(wait)
        found = broker.wait_records(RUN, {id: seen[id] for id in ids}, look, stop)
        if stop is not None and stop():
            raise ResultTimeout("nobody waits for these runs any more")
        if not found and patient is not None and patient.is_over:
            return []
    ended = []
    for id, record in found.items():
        if record is None:
            raise NoResult(f"there is no run {id!r}, or not any more")
        seen[id] = record.version
        if record.state in FINAL:
            ended.append(id)
    return ended
