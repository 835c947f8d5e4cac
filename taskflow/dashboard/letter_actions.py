"""What is done with queues, and with messages: all, those of a cause, those that are ticked."""

from taskflow.broker.message_query import MessageQuery
from taskflow.dashboard.action_fields import (
    MOST,
    TYPED_FROM,
    Fields,
    as_drawn,
    cause_of,
    check_dead_letters,
    deletion,
    each,
    few,
    few_ids,
    held,
    ids_of,
    queue_of,
    redrive_plan,
    whole,
)
from taskflow.dashboard.action_plan import Ended, Plan
from taskflow.dashboard.visit import Visit
from taskflow.dashboard.writing import write_plural
from taskflow.dashboard.wrongs import cause_title
from taskflow.errors import QueueNotFound


def pause_queue(visit: Visit, fields: Fields) -> Plan:
    queue = queue_of(visit, fields)

    def run() -> Ended:
        visit.broker.pause(queue)
        said = f"{queue} is paused: what is sent waits until it is resumed, what runs goes on."
        return Ended(said, f"/queues/{queue}", {})

    frozen = {"do": "pause-queue", "queue": queue}
    return Plan("pause", "", "", "", frozen, run, queue=queue, direct=True)


def resume_queue(visit: Visit, fields: Fields) -> Plan:
    queue = queue_of(visit, fields)

    def run() -> Ended:
        visit.broker.pause(queue, False)
        return Ended(f"{queue} is resumed.", f"/queues/{queue}", {})

    frozen = {"do": "resume-queue", "queue": queue}
    return Plan("resume", "", "", "", frozen, run, queue=queue, direct=True)


def purge_queue(visit: Visit, fields: Fields) -> Plan:
    queue = queue_of(visit, fields)
    before, count = as_drawn(visit, fields, lambda: held(visit, queue))
    query = MessageQuery(queues=[queue], sent_before=before, order="oldest")

    def run() -> Ended:
        if visit.broker.features.inspection:
            done = each(
                visit, query, count, before, lambda ids: visit.broker.purge(queue, ids, len(ids))
            )
        else:
            done = visit.broker.purge(queue, (), count)
        return Ended(
            f"Deleted {write_plural(done, 'message')} of {queue}.", f"/queues/{queue}", {}, done
        )

    return deletion(
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


def redrive_queue(visit: Visit, fields: Fields) -> Plan:
    queue = queue_of(visit, fields)
    before, count = as_drawn(visit, fields, lambda: held(visit, queue))
    return redrive_plan(visit, fields, queue, count, before, "redrive-queue", "", f"all of {queue}")


def redrive_cause(visit: Visit, fields: Fields, all: bool = False) -> Plan:
    cause = cause_of(visit, fields)
    before, count = as_drawn(visit, fields, lambda: cause.count)
    if not all and "sure" not in fields:
        count = min(count, whole(fields, "first", 1, MOST, count))
    do = "redrive-cause-all" if all else "redrive-cause"
    what = f"{cause_title(cause)} of {cause.source}"
    return redrive_plan(visit, fields, cause.queue, count, before, do, cause.id, what)


def redrive_cause_all(visit: Visit, fields: Fields) -> Plan:
    return redrive_cause(visit, fields, True)


def delete_cause(visit: Visit, fields: Fields) -> Plan:
    cause = cause_of(visit, fields)
    before, count = as_drawn(visit, fields, lambda: cause.count)
    query = MessageQuery(
        queues=[cause.queue], causes=[cause.id], died_before=before, order="oldest"
    )

    def run() -> Ended:
        done = each(
            visit, query, count, before, lambda ids: visit.broker.purge(cause.queue, ids, len(ids))
        )
        return Ended(f"Deleted {write_plural(done, 'dead letter')}.", "/dead", {}, done)

    sample = [one.delivery.id for one in visit.broker.find(few(query)).messages]
    frozen = {"do": "delete-cause", "queue": cause.queue, "cause": cause.id}
    what = f"{cause_title(cause)} of {cause.source}"
    return deletion(
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


def redrive_ids(visit: Visit, fields: Fields) -> Plan:
    queue, ids = queue_of(visit, fields), ids_of(fields)
    check_dead_letters(visit, queue)
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
        target=few_ids(ids),
    )


def move_ids(visit: Visit, fields: Fields) -> Plan:
    queue, ids = queue_of(visit, fields), ids_of(fields)
    check_dead_letters(visit, queue)
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


def delete_ids(visit: Visit, fields: Fields) -> Plan:
    queue, ids = queue_of(visit, fields), ids_of(fields)

    def run() -> Ended:
        done = visit.broker.purge(queue, ids, len(ids))
        return Ended(
            f"Deleted {write_plural(done, 'message')} of {queue}.", f"/queues/{queue}", {}, done
        )

    frozen = {"do": "delete-ids", "queue": queue, "ids": "\n".join(ids)}
    return deletion(
        visit,
        "delete",
        queue,
        len(ids),
        None,
        frozen,
        run,
        f"/queues/{queue}",
        {},
        few_ids(ids),
        ids[:3],
    )
