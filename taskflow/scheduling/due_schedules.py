"""Firing what is due: in batches, each schedule by a compare-and-set of its own."""

from collections.abc import Sequence

from taskflow.broker import Broker
from taskflow.broker.record import Record, RecordQuery
from taskflow.scheduling.firing import Firing
from taskflow.scheduling.stored import SCHEDULE
from taskflow.tasks.turn import HELD, Turn

MOST = 500  # schedules of one transaction
FEW, GROWTH = 20, 5  # of the first one, so that handlers begin; and how many times more of the next
PAUSE = 1.0  # seconds until a batch of which nothing could be stored is tried again


def fire_due(broker: Broker, worker: str) -> float | None:
    """Fire the schedules that are due now; answers when the next one is, None for none. Each tick
    is fired once, whoever does it; so that not all workers try, one of them does."""
    most, turn = FEW, Turn(broker, worker)
    while True:
        now = broker.clock.now()
        due, next_due = look(broker, now, most)
        if not due:
            return next_due
        if not turn.is_mine(now):
            return now + HELD  # then it is looked whether that one lives
        if not fire(broker, due, now):
            return now + PAUSE
        most = min(MOST, most * GROWTH)


def look(broker: Broker, now: float, most: int = MOST) -> tuple[Sequence[Record], float | None]:
    """The schedules that are due, so many of them at once; and when the first other one is."""
    page = broker.list_records(RecordQuery(kind=SCHEDULE, order="due", limit=most))
    due = [one for one in page.records if (one.due_at or 0.0) <= now]
    others = page.records[len(due) :]
    return due, others[0].due_at if others else None


def fire(broker: Broker, records: Sequence[Record], now: float) -> bool:
    """Fire these, as they were seen; those that somebody else has fired meanwhile are left alone.
    One that cannot be fired holds nobody: it is due again later. Whether anything was stored, here
    or by others."""
    stored = False
    left = [Firing(broker, record, now) for record in records]
    while left:
        answers = broker.apply([one.change() for one in left])
        again = []
        for one, answer in zip(left, answers, strict=True):
            if answer.refused is None:
                stored = True
                one.applied()
            elif one.refused(answer.refused):
                again.append(one)
            else:
                stored = stored or one.lost
        left = again
    return stored
