"""The two moments of a group's run: its members begin, and they have ended."""

from collections import deque
from collections.abc import Collection, Iterable, Iterator

import msgspec

from taskflow.broker import Broker
from taskflow.broker.change import Change
from taskflow.broker.record import Record, RecordQuery
from taskflow.errors import DecodeError
from taskflow.tasks.canvas.following import Following, compensation, starts
from taskflow.tasks.canvas.links import Link, Members, Place, member_id
from taskflow.tasks.preparing import put_run, stop_run
from taskflow.tasks.run import FINAL, RUN, Row, RunError, readable, row_of

PAGE = 1000  # runs that are read at a time
AT_ONCE = 500  # runs that are cancelled in one transaction


def conduct(broker: Broker, row: Row, now: float) -> Following:
    """What the message of a group's run calls for: in its first generation its members begin, in
    its second it ends. (Before that, what need not run any more is cancelled.)"""
    place = row.run.place
    assert place is not None
    members = place.members
    assert members is not None
    following = Following(broker, now)
    if row.run.generation == 1 and members.size:
        run = msgspec.structs.replace(row.run, generation=2)
        following.records.append(put_run(row.id, run, "suspended", row.version))
        following.sends += starts(list(_heads(broker, place, members)))
        return following
    failed, error, pending = 0, None, False
    for one in _records_of(broker, place, members):  # the state is enough, nearly always
        if one.state == "done":
            continue
        if one.state not in FINAL:
            pending = True
            continue
        failed += 1
        if error is None:
            error = _error_in(one) or RunError(type="", message=f"{one.key} {one.state}")
    least = members.size if members.least is None else members.least
    if members.errors == "collect" or members.size - failed >= least:
        if not pending:
            following.end(row, row.run, "done")
        return following
    if pending and members.least is not None:
        return following  # all run to their end, even if it is known how that will be
    stop_all(broker, readable(_records_of(broker, place, members)), now)
    following.end(row, msgspec.structs.replace(row.run, error=error), "failed")
    return following


def rows_of(broker: Broker, place: Place, members: Members) -> Iterator[Row]:
    """The members of a group, in order, read by page. One that is gone is left out. Raises
    DecodeError for one that cannot be read here."""
    return map(row_of, _records_of(broker, place, members))


def _error_in(record: Record) -> RunError | None:
    try:
        return row_of(record).run.error
    except DecodeError as error:
        return RunError(type="", message=str(error))


def _records_of(broker: Broker, place: Place, members: Members) -> Iterator[Record]:
    for start in range(0, members.size, PAGE):
        numbers = range(start, min(start + PAGE, members.size))
        ids = [member_id(place.root, members.first + number) for number in numbers]
        found = broker.records(RUN, ids)
        yield from (found[id] for id in ids if id in found)


def stop_all(broker: Broker, rows: Iterable[Row], now: float) -> None:
    """Cancel what has not ended of these, of the members of those that are groups, and of what
    those have called that go on after a wait, but nothing that follows them: somebody else sees to
    that. One that runs is told to stop; one that has just ended stays as it ended."""
    left = deque([rows])
    while left:
        changes: list[Change] = []
        callers: dict[str, set[str]] = {}
        for row in left.popleft():
            if row.state in FINAL:
                continue
            put, freed = stop_run(row, now)  # of a plan: it goes when the plan does
            put = msgspec.structs.replace(put, expires_at=None)
            cleans_up = [] if row.state == "running" else compensation(row)
            changes.append(Change(keys=freed, records=[put], sends=cleans_up))
            if row.run.durable is not None and row.run.place is not None:
                callers.setdefault(row.run.place.root, set()).add(row.id)
            if row.run.place is not None and row.run.place.members is not None:
                inside = _records_of(broker, row.run.place, row.run.place.members)
                left.append(readable(inside))
            if len(changes) == AT_ONCE:
                broker.apply(changes, durable=False)
                changes = []
        if changes:
            broker.apply(changes, durable=False)
        left += [called_by(broker, root, ids) for root, ids in callers.items()]


def called_by(broker: Broker, root: str, ids: Collection[str]) -> Iterator[Row]:
    """The runs that these runs of a plan wait for, read by page."""
    after: str | None = None
    while True:
        page = broker.list_records(RecordQuery(kind=RUN, parent=root, after=after, limit=PAGE))
        for row in readable(page.records):
            up = None if row.run.place is None else row.run.place.up
            if up is not None and up.counts is not None and up.group.id in ids:
                yield row
        if (after := page.next) is None:
            return


def value_of(broker: Broker, row: Row) -> msgspec.Raw:
    """What a run returned, as JSON: of a group, the list of what its members did."""
    members = None if row.run.place is None else row.run.place.members
    if members is None or row.run.place is None:
        return row.run.result
    values: list[object] = []
    for one in rows_of(broker, row.run.place, members):
        value = value_of(broker, one) if one.state == "done" else None
        if members.errors == "collect":
            values.append({"state": one.state, "value": value, "error": one.run.error})
        else:
            values.append(value)
    return msgspec.Raw(msgspec.json.encode(values))


def _heads(broker: Broker, place: Place, members: Members) -> Iterator[Link]:
    """Where the members begin that begin at once."""
    most = members.size if members.limit is None else members.limit
    for at, one in enumerate(rows_of(broker, place, members)):
        if at >= most:
            return
        head = None if one.run.place is None else one.run.place.head
        yield head or Link(one.id, one.run.queue, one.run.priority, one.run.waits)
