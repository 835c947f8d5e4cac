"""The runs that a run waits for: made when it begins to wait, and counted down as they end."""

from collections.abc import Sequence

import msgspec

from taskflow.broker.change import Put, Send
from taskflow.errors import WorkflowError
from taskflow.limits import check_message
from taskflow.message import Message
from taskflow.tasks.canvas.call import Call
from taskflow.tasks.canvas.links import Link, Place, Up
from taskflow.tasks.child_ids import ids_of
from taskflow.tasks.preparing import KEEP_FAILED, put_run, run_message
from taskflow.tasks.run import Run
from taskflow.telemetry.tracing import carried_header
from taskflow.workflows.journal import Journal

MOST_CHILDREN = 100_000
DEEPEST = 100


def start_children(
    journal: Journal,
    step: str,
    calls: Sequence[Call],
    *,
    counts: str,
    alone: bool,
    stops: bool,
    limit: int | None,
) -> tuple[list[Put], list[Send]]:
    """The records and messages of the children of a step; `counts` is the key of its record.
    Raises WorkflowError for too many, or too deep ones."""
    if len(calls) > MOST_CHILDREN:
        raise WorkflowError(
            f"step {step!r} has {len(calls)} runs; {MOST_CHILDREN} at most: map over parts of them"
        )
    row, now = journal.row, journal.broker.clock.now()
    depth = 1 if row.run.place is None else row.run.place.depth + 1
    if depth > DEEPEST:
        raise WorkflowError(
            f"{DEEPEST} runs wait for run {journal.run!r}, one for the other, as many as may: does "
            "the workflow call itself without end?"
        )
    parent = Link(journal.run, row.run.queue, row.run.priority)
    most = journal.broker.max_message_bytes
    ids = ids_of(journal.life, step, range(len(calls)), alone)
    records: list[Put] = []
    messages: dict[str, list[Message]] = {}
    for at, (id, call) in enumerate(zip(ids, calls, strict=True)):
        starts = None
        if limit is not None and at + limit < len(calls):
            later = calls[at + limit]
            starts = Link(ids[at + limit], later.queue, later.chosen.priority, later.chosen.delay)
        chosen = call.chosen
        expires_at = chosen.expires_at
        if chosen.expires_in is not None:
            expires_at = now + chosen.expires_in
        run = Run(
            task=call.target.name,
            queue=call.queue,
            args=msgspec.Raw(call.args),
            kwargs=msgspec.Raw(call.kwargs),
            keep=row.run.keep,
            keep_failed=max(row.run.keep, KEEP_FAILED),
            group=chosen.group,
            priority=chosen.priority or row.run.priority,
            waits=chosen.delay,
            headers={**row.run.headers, **chosen.headers},
            trace=carried_header() or row.run.trace,
            expires_at=expires_at,
            durable=call.target.begins,
            place=Place(
                root=journal.root,
                up=Up(parent, stops, starts, counts, row.run.generation + 1),
                depth=depth,
            ),
        )
        begins = limit is None or at < limit
        put = put_run(id, run, "waiting" if begins else "suspended", 0)
        check_message(put.value, {}, most)
        records.append(put)
        if begins:
            message = run_message(id, run, run.waits, most)
            messages.setdefault(run.queue, []).append(message)
    return records, [Send(queue, some) for queue, some in messages.items()]
