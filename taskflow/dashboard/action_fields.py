"""What actions share: the fields of their forms, and what a redrive and a deletion say."""

from collections.abc import Callable, Mapping, Sequence
from math import inf, nextafter

from taskflow.broker.cause import Cause
from taskflow.broker.message_query import MessageQuery
from taskflow.dashboard.action_plan import Ended, Plan
from taskflow.dashboard.answer import Refused
from taskflow.dashboard.inspected_broker import causes_of
from taskflow.dashboard.redrives import Redrive, start_redrive
from taskflow.dashboard.visit import Visit
from taskflow.dashboard.writing import write_plural
from taskflow.errors import MessageNotFound, QueueNotFound
from taskflow.message import new_id

MOST = 100_000
"""Messages of one action."""
MOST_IDS = 500
TYPED_FROM = 100
CHUNK = 500

Fields = Mapping[str, str]


def redrive_plan(
    visit: Visit,
    fields: Fields,
    queue: str,
    count: int,
    before: float,
    do: str,
    cause: str,
    what: str,
) -> Plan:
    check_dead_letters(visit, queue)
    inspected = visit.broker.features.inspection
    rate = whole(fields, "rate", 0, CHUNK, 0)  # a look finds no more
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
        (
            "How many",
            f"{count:,} of those that died before this page was drawn"
            if inspected
            else f"{count:,}, whichever the broker hands out first",
        ),
        ("How fast", f"{rate:,} a second" if rate else "as fast as it goes"),
        ("To", to or "the queue where each died"),
    ]
    return Plan(
        "redrive",
        f"Redrive {write_plural(count, 'dead letter')}?",
        "They are handled as new. "
        + (
            "It stops by itself when more than half of ten die again."
            if inspected
            else "This broker does not tell whether they die again: look at the count."
        ),
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


def deletion(
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


def each(
    visit: Visit, query: MessageQuery, most: int, before: float, do: Callable[[list[str]], int]
) -> int:
    """Do it with all that is found, some at a time, so that workers go on meanwhile; not with what
    died since `before`, which may have been sent long ago."""
    done = 0
    after: str | None = None
    while done < most:
        page = visit.broker.find(
            MessageQuery(
                **{name: getattr(query, name) for name in query.__struct_fields__}
                | {"after": after, "limit": min(CHUNK, most - done)}
            )
        )
        ids = [
            one.delivery.id for one in page.messages if one.died_at is None or one.died_at < before
        ]
        if ids:
            done += do(ids)
        after = page.next
        if after is None:
            break
    return done


def few(query: MessageQuery) -> MessageQuery:
    fields = {name: getattr(query, name) for name in query.__struct_fields__}
    return MessageQuery(**{**fields, "limit": 3})


def as_drawn(visit: Visit, fields: Fields, count: Callable[[], int]) -> tuple[float, int]:
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


def held(visit: Visit, queue: str) -> int:
    counts = visit.broker.counts(queue)
    return counts.visible + counts.in_flight + counts.delayed


def queue_of(visit: Visit, fields: Fields) -> str:
    queue = fields.get("queue", "")
    if queue not in visit.survey().settings:
        raise QueueNotFound(queue, visit.survey().settings)
    return queue


def check_dead_letters(visit: Visit, queue: str) -> None:
    if queue not in visit.survey().dlqs:
        raise Refused(409, f"{queue} is nobody's dead-letter queue. Nothing was done.")


def cause_of(visit: Visit, fields: Fields) -> Cause:
    for one in causes_of(visit.broker):
        if one.id == fields.get("cause"):
            return one
    raise MessageNotFound("There are no dead letters of this cause any more")


def ids_of(fields: Fields) -> list[str]:
    ids = [one for one in fields.get("ids", "").replace("\r\n", "\n").split("\n") if one]
    if not ids:
        raise Refused(400, "Nothing is ticked. Nothing was done.", ("Go back and tick some.",))
    if len(ids) > MOST_IDS:
        raise Refused(400, f"{len(ids):,} are ticked; {MOST_IDS} at once are allowed.")
    return ids


def few_ids(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - 3:,} more" if len(ids) > 3 else ""
    return ", ".join(ids[:3]) + more


def whole(fields: Fields, name: str, least: int, most: int, default: int) -> int:
    text = fields.get(name, "").replace(",", "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or not least <= int(text[:12]) <= most:
        raise Refused(400, f"{name} is {text[:20]!r}; {least:,} to {most:,} are allowed.")
    return int(text)
