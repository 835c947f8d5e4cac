"""Runs that are due later than a message may be: sent when their time has come."""

import logging
from collections.abc import Sequence

from taskflow.broker import Broker
from taskflow.broker.change import Change, Put, Send
from taskflow.broker.record import Record, RecordQuery
from taskflow.errors import DecodeError, VersionConflict
from taskflow.tasks.preparing import put_run, run_message
from taskflow.tasks.run import RUN, Row, row_of
from taskflow.tasks.turn import HELD, Turn

MOST = 500  # runs of one transaction
TRY_AGAIN = 60.0  # seconds until what could not be sent is tried again
_DUE = RecordQuery(kind=RUN, order="due", limit=MOST)

log = logging.getLogger("taskflow.tasks")


def send_due(broker: Broker, worker: str) -> float | None:
    """Send the messages of runs that are due now; answers when the next one is, None for none.
    Each run is sent once, whoever does it; so that not all workers try, one of them does."""
    turn = Turn(broker, worker)
    while True:
        now = broker.clock.now()
        page = broker.list_records(_DUE)
        due = [one for one in page.records if (one.due_at or 0.0) <= now]
        if due:
            if not turn.is_mine(now):
                return now + HELD  # then it is looked whether that one lives
            _send(broker, _read_all(broker, due, now), now)
        if len(due) < len(page.records):
            return page.records[len(due)].due_at
        if not due:
            return None


def _read_all(broker: Broker, records: Sequence[Record], now: float) -> list[Row]:
    """These runs. One that cannot be read here holds nobody: it is due again later, unchanged."""
    rows = []
    for one in records:
        try:
            rows.append(row_of(one))
        except DecodeError as error:
            log.error("%s; it is due, and looked at again in %g s", error, TRY_AGAIN)
            later = Put(
                kind=RUN,
                key=one.key,
                value=one.value,
                expected=one.version,
                parent=one.parent,
                label=one.label,
                state=one.state,
                due_at=now + TRY_AGAIN,
                expires_at=one.expires_at,
            )
            broker.apply([Change(records=[later])])
    return rows


def _send(broker: Broker, rows: Sequence[Row], now: float) -> None:
    """Each by a compare-and-set of its own. One that cannot be sent (its queue is not there) holds
    nobody: it is due again later."""
    most = broker.max_message_bytes
    answers = broker.apply(
        [
            Change(
                records=[put_run(row.id, row.run, "waiting", row.version)],
                sends=[Send(row.run.queue, [run_message(row.id, row.run, 0.0, most)])],
            )
            for row in rows
        ]
    )
    for row, answer in zip(rows, answers, strict=True):
        if answer.refused is None or isinstance(answer.refused, VersionConflict):
            continue
        log.error(
            "run %s of %s is due, and cannot be sent: %s; tried again in %g s",
            *(row.id, row.run.task, answer.refused, TRY_AGAIN),
        )
        later = put_run(row.id, row.run, "scheduled", row.version, due_at=now + TRY_AGAIN)
        broker.apply([Change(records=[later])])
