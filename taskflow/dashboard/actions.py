"""What the buttons do: each one as a plan, made of the fields of its form."""

from collections.abc import Callable, Mapping, Sequence
from math import inf, nextafter

from taskflow.broker.cause import Cause
from taskflow.broker.message_query import MessageQuery
from taskflow.dashboard.answer import Refused
from taskflow.dashboard.inspecting import causes_of
from taskflow.dashboard.plan import Ended, Plan
from taskflow.dashboard.redrives import Redrive, start_redrive
from taskflow.dashboard.visit import Visit
from taskflow.dashboard.writing import write_plural
from taskflow.dashboard.wrongs import cause_title
from taskflow.errors import MessageNotFound, QueueNotFound, TaskflowError
from taskflow.message import new_id
from taskflow.scheduling.schedules import schedules
from taskflow.tasks.cancelling import cancel
from taskflow.workflows.retrying import retry_run

MOST = 100_000
"""Messages of one action."""
MOST_IDS = 500
TYPED_FROM = 100
CHUNK = 500

Fields = Mapping[str, str]


def plan_of(visit: Visit, do: str, fields: Fields) -> Plan:
    """The plan of a button. Raises Refused for one that is not known, and for fields that are not
    what it needs; QueueNotFound."""
    make = _PLANS.get(do)
    if make is None:
        raise Refused(400, f"There is nothing that is called {do or 'nothing'} to do.")
    return make(visit, fields)


# ---- queues -------------------------------------------------------------------------------------
def _pause_queue(visit: Visit, fields: Fields) -> Plan:
    queue = _queue(visit, fields)
    waiting = visit.broker.counts(queue).visible

    def run() -> Ended:
        visit.broker.pause(queue)
        return Ended(f"{queue} is paused.", f"/queues/{queue}", {})

    return Plan(
        "pause",
        f"Pause {queue}?",
        "Nobody receives from it until it is resumed. What is sent waits; what runs goes on.",
        f"Pause {queue}",
        {"do": "pause-queue", "queue": queue},
        run,
        [("Waiting", f"{waiting:,} now")],
        back=f"/queues/{queue}",
        queue=queue,
    )


def _resume_queue(visit: Visit, fields: Fields) -> Plan:
    queue = _queue(visit, fields)

    def run() -> Ended:
        visit.broker.pause(queue, False)
        return Ended(f"{queue} is resumed.", f"/queues/{queue}", {})

    frozen = {"do": "resume-queue", "queue": queue}
    return Plan("resume", "", "", "", frozen, run, queue=queue)


def _purge_queue(visit: Visit, fields: Fields) -> Plan:
    queue = _queue(visit, fields)
    before, count = _as_drawn(visit, fields, lambda: _held(visit, queue))
    query = MessageQuery(queues=[queue], sent_before=before, order="oldest")

    def run() -> Ended:
        if visit.broker.features.inspection:
            done = _each(visit, query, count, lambda ids: visit.broker.purge(queue, ids, len(ids)))
        else:
            done = visit.broker.purge(queue, (), count)
        return Ended(
            f"Deleted {write_plural(done, 'message')} of {queue}.", f"/queues/{queue}", {}, done
        )

    return _deletion(
        visit,
        "purge",
        queue,
        count,
        before,
        {"do": "purge-queue", "queue": queue},
        run,
        f"/queues/{queue}",
        {},
        f"all of {queue}",
        [],
    )


def _redrive_queue(visit: Visit, fields: Fields) -> Plan:
    queue = _queue(visit, fields)
    before, count = _as_drawn(visit, fields, lambda: _held(visit, queue))
    return _redrive(visit, fields, queue, count, before, "redrive-queue", "", f"all of {queue}")


# ---- dead letters of a cause --------------------------------------------------------------------
def _redrive_cause(visit: Visit, fields: Fields, all: bool = False) -> Plan:
    cause = _cause(visit, fields)
    before, count = _as_drawn(visit, fields, lambda: cause.count)
    if not all and "sure" not in fields:
        count = min(count, _whole(fields, "first", 1, MOST, count))
    do = "redrive-cause-all" if all else "redrive-cause"
    what = f"{cause_title(cause)} of {cause.source}"
    return _redrive(visit, fields, cause.queue, count, before, do, cause.id, what)


def _redrive_cause_all(visit: Visit, fields: Fields) -> Plan:
    return _redrive_cause(visit, fields, True)


def _delete_cause(visit: Visit, fields: Fields) -> Plan:
    cause = _cause(visit, fields)
    before, count = _as_drawn(visit, fields, lambda: cause.count)
    query = MessageQuery(
        queues=[cause.queue], causes=[cause.id], died_before=before, order="oldest"
    )

    def run() -> Ended:
        done = _each(
            visit, query, count, lambda ids: visit.broker.purge(cause.queue, ids, len(ids))
        )
        return Ended(f"Deleted {write_plural(done, 'dead letter')}.", "/dead", {}, done)

    sample = [one.delivery.id for one in visit.broker.find(_few(query)).messages]
    frozen = {"do": "delete-cause", "queue": cause.queue, "cause": cause.id}
    what = f"{cause_title(cause)} of {cause.source}"
    return _deletion(
        visit,
        "delete",
        cause.queue,
        count,
        before,
        frozen,
        run,
        "/dead",
        {"open": cause.id},
        what,
        sample,
    )


# ---- messages by id -----------------------------------------------------------------------------
def _redrive_ids(visit: Visit, fields: Fields) -> Plan:
    queue, ids = _queue(visit, fields), _ids(fields)
    _check_dead_letters(visit, queue)
    frozen = {"do": "redrive-ids", "queue": queue, "ids": "\n".join(ids)}

    def run() -> Ended:
        done = visit.broker.redrive(queue, ids, len(ids))
        return Ended(
            f"Redrove {done:,} of {write_plural(len(ids), 'dead letter')}.", "/dead", {}, done
        )

    return Plan(
        "redrive",
        f"Redrive {write_plural(len(ids), 'dead letter')}?",
        "Each goes back to the queue where it died, and is handled there as new.",
        f"Redrive {len(ids):,}",
        frozen,
        run,
        [("From", queue)],
        ids[:3],
        len(ids),
        typed=len(ids) > TYPED_FROM,
        back=f"/queues/{queue}",
        queue=queue,
        target=_few_ids(ids),
    )


def _move_ids(visit: Visit, fields: Fields) -> Plan:
    queue, ids = _queue(visit, fields), _ids(fields)
    _check_dead_letters(visit, queue)
    to = fields.get("to", "")

    def run() -> Ended:
        if to not in visit.survey().settings:
            raise QueueNotFound(to, visit.survey().settings)
        done = visit.broker.transfer(queue, ids, to)
        return Ended(f"Moved {write_plural(done, 'message')} to {to}.", f"/queues/{to}", {}, done)

    return Plan(
        "move",
        f"Move {write_plural(len(ids), 'dead letter')}?",
        "They are handled in the other queue as new.",
        f"Move {len(ids):,}",
        {"do": "move-ids", "queue": queue, "ids": "\n".join(ids)},
        run,
        [("From", queue)],
        ids[:3],
        len(ids),
        back=f"/queues/{queue}",
        queue=queue,
        target=f"to {to}" if to else "",
        choices=sorted(visit.survey().queues),
    )


def _delete_ids(visit: Visit, fields: Fields) -> Plan:
    queue, ids = _queue(visit, fields), _ids(fields)

    def run() -> Ended:
        done = visit.broker.purge(queue, ids, len(ids))
        return Ended(
            f"Deleted {write_plural(done, 'message')} of {queue}.", f"/queues/{queue}", {}, done
        )

    frozen = {"do": "delete-ids", "queue": queue, "ids": "\n".join(ids)}
    return _deletion(
        visit,
        "delete",
        queue,
        len(ids),
        None,
        frozen,
        run,
        f"/queues/{queue}",
        {},
        _few_ids(ids),
        ids[:3],
    )


# ---- schedules and runs -------------------------------------------------------------------------
def _run_now(visit: Visit, fields: Fields) -> Plan:
    name = fields["target"]
    one = schedules.get(name, broker=visit.broker)
    if one is None:
        raise Refused(404, f"There is no schedule {name}.")

    def run() -> Ended:
        schedules.run_now(name, broker=visit.broker)
        return Ended(f"{name} was started once.", "/schedules", {}, 1)

    what = f"It calls {one.task} on {one.queue}" if one.task else f"It publishes to {one.topic}"
    return Plan(
        "run now",
        f"Run {name} now?",
        f"{what}, once; its ticks stay as they are.",
        f"Run {name}",
        {"do": "run-now", "target": name},
        run,
        back="/schedules",
        target=name,
    )


def _pause_schedule(visit: Visit, fields: Fields) -> Plan:
    name = fields["target"]

    def run() -> Ended:
        schedules.pause(name, broker=visit.broker)
        return Ended(f"Schedule {name} is paused.", "/schedules", {})

    return Plan("pause schedule", "", "", "", {"do": "pause-schedule"}, run, target=name)


def _resume_schedule(visit: Visit, fields: Fields) -> Plan:
    name = fields["target"]

    def run() -> Ended:
        schedules.resume(name, broker=visit.broker)
        return Ended(f"Schedule {name} goes on from now.", "/schedules", {})

    return Plan("resume schedule", "", "", "", {"do": "resume-schedule"}, run, target=name)


def _retry_runs(visit: Visit, fields: Fields) -> Plan:
    def do(id: str) -> bool:
        retry_run(visit.broker, id)
        return True

    return _runs(
        visit,
        fields,
        "retry-runs",
        "retry run",
        "Retry",
        "retried",
        do,
        "Each goes on from where it failed; what it has done stays done.",
        False,
    )


def _cancel_runs(visit: Visit, fields: Fields) -> Plan:
    return _runs(
        visit,
        fields,
        "cancel-runs",
        "cancel run",
        "Cancel",
        "cancelled",
        lambda id: cancel(visit.broker, id),
        "What waits ends at once; what runs is told within a second. There is no undo.",
        True,
    )


def _runs(
    visit: Visit,
    fields: Fields,
    word: str,
    did: str,
    verb: str,
    past: str,
    do: Callable[[str], bool],
    lede: str,
    danger: bool,
) -> Plan:
    ids = _ids(fields)
    back = f"/workflows/{ids[0]}" if len(ids) == 1 else "/workflows"

    def run() -> Ended:
        done, failed = 0, ""
        for id in ids:
            try:
                done += do(id)
            except TaskflowError as error:
                failed = failed or str(error)
        said = f"{done:,} of {write_plural(len(ids), 'run')} {past}."
        return Ended(f"{said} {failed}" if failed else said, back, {}, done)

    return Plan(
        did,
        f"{verb} {write_plural(len(ids), 'run')}?",
        lede,
        f"{verb} {len(ids):,}",
        {"do": word, "ids": "\n".join(ids)},
        run,
        sample=ids[:3],
        count=len(ids),
        danger=danger,
        typed=len(ids) > TYPED_FROM,
        back=back,
        target=_few_ids(ids),
    )


def _stop_redrive(visit: Visit, fields: Fields) -> Plan:
    found = Redrive.find(visit.broker, fields["target"])
    if found is None:
        raise Refused(404, "There is no such redrive, or not any more.")

    def run() -> Ended:
        found.stop(visit.broker, f"stopped by {visit.who.name}")
        return Ended(f"Stopped after {found.done:,} of {found.total:,}.", "/dead", {}, found.done)

    frozen = {"do": "stop-redrive"}
    return Plan("stop redrive", "", "", "", frozen, run, queue=found.queue)


# ---- what they share ----------------------------------------------------------------------------
def _redrive(
    visit: Visit,
    fields: Fields,
    queue: str,
    count: int,
    before: float,
    do: str,
    cause: str,
    what: str,
) -> Plan:
    _check_dead_letters(visit, queue)
    rate = _whole(fields, "rate", 0, 10_000, 0)
    to = fields.get("to", "")
    if to and to not in visit.survey().settings:
        raise QueueNotFound(to, visit.survey().settings)
    frozen = {
        "do": do,
        "queue": queue,
        "cause": cause,
        "count": str(count),
        "before": repr(before),
        "rate": str(rate),
        "to": to,
    }

    def run() -> Ended:
        redrive = Redrive(
            id=new_id(visit.now, visit.broker.random),
            who=visit.who.name,
            queue=queue,
            total=count,
            before=before,
            started_at=visit.broker.clock.now(),
            cause=cause,
            rate=rate,
            to=to,
        )
        start_redrive(visit.broker, redrive)
        return Ended(f"{redrive.said}.", "/dead", {}, count)

    facts = [
        ("Which", what),
        ("How many", f"{count:,} of those that died before this page was drawn"),
        ("How fast", f"{rate:,} a second" if rate else "as fast as it goes"),
        ("To", to or "the queue where each died"),
    ]
    return Plan(
        "redrive",
        f"Redrive {write_plural(count, 'dead letter')}?",
        "They are handled as new. It stops by itself when more than half of ten die again.",
        f"Redrive {count:,}",
        frozen,
        run,
        facts,
        count=count,
        typed=count > TYPED_FROM,
        back="/dead",
        back_query={"open": cause} if cause else {},
        queue=queue,
        target=what,
    )


def _deletion(
    visit: Visit,
    did: str,
    queue: str,
    count: int,
    before: float | None,
    frozen: Mapping[str, str],
    run: Callable[[], Ended],
    back: str,
    back_query: Mapping[str, str],
    what: str,
    sample: Sequence[str],
) -> Plan:
    said = {**frozen, "count": str(count)}
    many = f"{count:,}"
    if before is not None:
        said["before"] = repr(before)
        many += " when this page was drawn. Those that come later are not touched."
    return Plan(
        did,
        f"Delete {write_plural(count, 'message')}?",
        "They are gone for good: there is no undo, and no copy is kept.",
        f"Delete {count:,}",
        said,
        run,
        [("Which", what), ("How many", many)],
        sample,
        count,
        danger=True,
        typed=True,
        back=back,
        back_query=back_query,
        queue=queue,
        target=what,
    )


def _each(visit: Visit, query: MessageQuery, most: int, do: Callable[[list[str]], int]) -> int:
    """Do it with all that is found, some at a time, so that workers go on meanwhile."""
    done = 0
    after: str | None = None
    while done < most:
        page = visit.broker.find(
            MessageQuery(
                **{name: getattr(query, name) for name in query.__struct_fields__}
                | {"after": after, "limit": min(CHUNK, most - done)}
            )
        )
        ids = [one.delivery.id for one in page.messages]
        if ids:
            done += do(ids)
        after = page.next
        if after is None:
            break
    return done


def _few(query: MessageQuery) -> MessageQuery:
    fields = {name: getattr(query, name) for name in query.__struct_fields__}
    return MessageQuery(**{**fields, "limit": 3})


def _as_drawn(visit: Visit, fields: Fields, count: Callable[[], int]) -> tuple[float, int]:
    """Until when, and how many: as the confirm page said, or now. What the form says is under its
    token. Raises Refused when there is nothing, or too much."""
    if "sure" in fields:
        try:
            return float(fields.get("before", "")), int(fields.get("count", ""))
        except ValueError:
            raise Refused(400, "The form does not say how many. Nothing was done.") from None
    found = count()
    if not found:
        raise Refused(409, "There is nothing there any more. Nothing was done.")
    return nextafter(visit.now, inf), min(found, MOST)


def _held(visit: Visit, queue: str) -> int:
    counts = visit.broker.counts(queue)
    return counts.visible + counts.in_flight + counts.delayed


def _queue(visit: Visit, fields: Fields) -> str:
    queue = fields.get("queue", "")
    if queue not in visit.survey().settings:
        raise QueueNotFound(queue, visit.survey().settings)
    return queue


def _check_dead_letters(visit: Visit, queue: str) -> None:
    if queue not in visit.survey().dlqs:
        raise Refused(409, f"{queue} is nobody's dead-letter queue. Nothing was done.")


def _cause(visit: Visit, fields: Fields) -> Cause:
    for one in causes_of(visit.broker):
        if one.id == fields.get("cause"):
            return one
    raise MessageNotFound("There are no dead letters of this cause any more")


def _ids(fields: Fields) -> list[str]:
    ids = [one for one in fields.get("ids", "").replace("\r\n", "\n").split("\n") if one]
    if not ids:
        raise Refused(400, "Nothing is ticked. Nothing was done.", ("Go back and tick some.",))
    if len(ids) > MOST_IDS:
        raise Refused(400, f"{len(ids):,} are ticked; {MOST_IDS} at once are allowed.")
    return ids


def _few_ids(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - 3:,} more" if len(ids) > 3 else ""
    return ", ".join(ids[:3]) + more


def _whole(fields: Fields, name: str, least: int, most: int, default: int) -> int:
    text = fields.get(name, "").replace(",", "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or not least <= int(text[:12]) <= most:
        raise Refused(400, f"{name} is {text[:20]!r}; {least:,} to {most:,} are allowed.")
    return int(text)


_PLANS: Mapping[str, Callable[[Visit, Fields], Plan]] = {
    "pause-queue": _pause_queue,
    "resume-queue": _resume_queue,
    "purge-queue": _purge_queue,
    "redrive-queue": _redrive_queue,
    "redrive-cause": _redrive_cause,
    "redrive-cause-all": _redrive_cause_all,
    "delete-cause": _delete_cause,
    "redrive-ids": _redrive_ids,
    "move-ids": _move_ids,
    "delete-ids": _delete_ids,
    "run-now": _run_now,
    "pause-schedule": _pause_schedule,
    "resume-schedule": _resume_schedule,
    "retry-runs": _retry_runs,
    "cancel-runs": _cancel_runs,
    "stop-redrive": _stop_redrive,
}
