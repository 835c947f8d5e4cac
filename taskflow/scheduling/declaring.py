"""Schedules of code: put when a worker starts, unless a newer release was there before."""

import logging
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec

from taskflow.broker import Broker
from taskflow.broker.change import Change, Put
from taskflow.broker.record import Record, RecordQuery
from taskflow.errors import DecodeError, VersionConflict
from taskflow.scheduling.replacing import put_again, put_new, put_paused, put_resumed
from taskflow.scheduling.spec import Spec
from taskflow.scheduling.stored import (
    SCHEDULE,
    Row,
    Stored,
    parent_of,
    put_row,
    row_of,
)

GONE_AFTER = 86400.0  # seconds until one that code has no more is paused
TRIES = 20  # against others who start at the same time
PAGE = 500

log = logging.getLogger("taskflow.schedules")


class Code(msgspec.Struct, frozen=True):
    """Who declares: the settings `app` and `release`, both "" if they are not set."""

    app: str = ""
    release: str = ""


def declare_all(broker: Broker, wanted: Mapping[str, Spec], code: Code) -> None:
    """Put what code says. What is so already is not written; who is of an older release than the
    one that wrote a schedule leaves it alone."""
    left: Collection[str] = wanted
    for _ in range(TRIES):
        names = list(left)
        found: dict[str, Record] = {}
        for start in range(0, len(names), PAGE):
            found.update(broker.records(SCHEDULE, names[start : start + PAGE]))
        now = broker.clock.now()
        puts = [
            put
            for name in names
            if (put := _declare(broker, name, wanted[name], found.get(name), code, now)) is not None
        ]
        left = _apply(broker, puts)
        if not left:
            return
    log.error("schedules %s change all the time, and were not declared", ", ".join(sorted(left)))


def _declare(
    broker: Broker, name: str, spec: Spec, record: Record | None, code: Code, now: float
) -> Put | None:
    new = Stored(spec=spec, source="code", app=code.app, release=code.release)
    if record is None:
        return put_new(name, new, broker, now)
    try:
        row = row_of(record)
    except DecodeError as error:
        log.error("%s; it is replaced by what code says", error)
        put = put_new(name, new, broker, now)
        return msgspec.structs.replace(put, expected=record.version)
    stored = row.stored
    if stored.source == "code":
        if stored.app != code.app:
            log.error(
                "schedule %s is of application %r, and this one is %r: give one of them another "
                "name=, or both the same app= in setup.cfg [taskflow]",
                *(name, stored.app, code.app),
            )
            return None
        if is_older(code.release, stored.release):
            log.warning(
                "schedule %s was declared by release %s, which is newer than %s: it stays so",
                *(name, stored.release, code.release or "one without a name"),
            )
            return None
    else:
        log.info("schedule %s was put by hand, and is now as code says", name)
    same = (
        stored.spec.same_as(spec)
        and stored.source == "code"
        and stored.release == code.release
        and stored.missing_since is None
    )
    if same:
        return None
    now_stored = msgspec.structs.replace(
        stored, source="code", app=code.app, release=code.release, missing_since=None
    )
    if row.state == "paused" and stored.paused_for == "missing":
        now_stored = msgspec.structs.replace(now_stored, spec=spec)
        again = Row(row.name, row.state, row.version, now_stored, row.due_at, row.failed)
        return put_resumed(again, broker, now)
    return put_again(row, now_stored, spec, broker, now)


def note_missing(
    broker: Broker, known: Collection[str], queues: Collection[str] | None, code: Code
) -> None:
    """Look for schedules of this application's code that it has no more. They are marked, and
    paused a day later, unless some worker still has them: while releases change, both run."""
    now = broker.clock.now()
    puts = []
    for record in _of_app(broker, code.app):
        try:
            row = row_of(record)
        except DecodeError:
            continue
        stored = row.stored
        since, task = stored.missing_since, stored.spec.task
        ours = queues is None or (task is not None and task.queues[0] in queues)
        if row.name in known:
            changed = None if since is None else _marked(row, None, now)
        elif not ours or is_older(code.release, stored.release) or row.state != "active":
            changed = None
        elif since is None:
            changed = _marked(row, now, now)
        elif now - since >= GONE_AFTER:
            log.warning("schedule %s is in no code any more since a day: it is paused", row.name)
            changed = put_paused(row, now, "missing")
        else:
            changed = None
        if changed is not None:
            puts.append(changed)
    _apply(broker, puts)


def _marked(row: Row, since: float | None, now: float) -> Put:
    stored = msgspec.structs.replace(row.stored, missing_since=since)
    return put_row(row.name, stored, row.state, row.version, row.due_at, now)


def _of_app(broker: Broker, app: str) -> Iterator[Record]:
    after: str | None = None
    while True:
        page = broker.list_records(
            RecordQuery(kind=SCHEDULE, parent=parent_of(app), order="oldest", after=after)
        )
        yield from page.records
        after = page.next
        if after is None:
            return


def _apply(broker: Broker, puts: Sequence[Put]) -> list[str]:
    """Write them, each by itself; answers the names of those that somebody else changed."""
    changes = [Change(records=[put]) for put in puts]
    refused = []
    for start in range(0, len(changes), PAGE):
        answers = broker.apply(changes[start : start + PAGE])
        for put, answer in zip(puts[start : start + PAGE], answers, strict=True):
            if isinstance(answer.refused, VersionConflict):
                refused.append(put.key)
            else:
                answer.or_raise()
    return refused


def is_older(release: str, other: str) -> bool:
    """Whether a release came before another one: numbers are compared as such, word by word, so
    `1.9` comes before `1.10`. One without a name is older than those that have one."""
    return _order(release) < _order(other)


def _order(release: str) -> list[tuple[int, int, str]]:
    words = re.findall(r"\d+|[a-z]+", release.lower())
    return [(1, int(word), "") if word.isdigit() else (0, 0, word) for word in words]
