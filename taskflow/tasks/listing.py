"""The runs that a broker keeps, listed a page at a time."""

from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

from taskflow.broker import Broker
from taskflow.broker.record import RecordQuery
from taskflow.tasks.preparing import key_of
from taskflow.tasks.run import RUN, STATES, Row, State, load, readable, state_of


class RunPage(NamedTuple):
    """Some runs, and what to ask `after` for those that follow; None at the end."""

    runs: Sequence[Row]
    next: str | None


def list_runs(
    broker: Broker,
    *,
    task: str | None = None,
    states: Collection[State] = (),
    since: float | None = None,
    before: float | None = None,
    key: str | None = None,
    order: Literal["newest", "oldest"] = "newest",
    after: str | None = None,
    limit: int = 100,
) -> RunPage:
    """A page of the runs that fit all that is given: of a task, in any of some states, called from
    `since` on and before `before` (epoch seconds). With `key` it is the run of `task` that holds
    this key now, or none.

    `after` is `RunPage.next` of the page before, `limit` 1 to 1000. A page may hold fewer, and not
    be the last. Raises ValueError for a key without a task and a state that is none, LimitExceeded
    for a limit or place that cannot be, BrokerUnavailable.
    """
    if unknown := [one for one in states if one not in STATES]:
        raise ValueError(f"no run is ever {unknown[0]!r}; states: {', '.join(STATES)}")
    now = broker.clock.now()
    following = None
    if key is not None:
        if task is None:
            raise ValueError("a key is one of a task: say which")
        rows = _holder(broker, task, key, since, before)
    else:
        page = broker.list_records(
            RecordQuery(
                kind=RUN,
                label=task,
                states=_stored(states),
                created_from=since,
                created_before=before,
                order=order,
                after=after,
                limit=limit,
            )
        )
        rows, following = list(readable(page.records)), page.next
    return RunPage([one for one in rows if not states or state_of(one, now) in states], following)


def _holder(
    broker: Broker, task: str, key: str, since: float | None, before: float | None
) -> list[Row]:
    """The run that holds a key, if it was called in that time."""
    ids = list(broker.holders([key_of(task, key)]).values())
    return [
        row
        for row in load(broker, ids).values()
        if (since is None or row.created_at >= since)
        and (before is None or row.created_at < before)
    ]


def _stored(states: Collection[State]) -> set[str]:
    """The states of the records that may be in these: one whose message waits for its delay is
    `waiting` there."""
    return {*states, "waiting"} if "scheduled" in states else set(states)
