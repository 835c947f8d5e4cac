"""What was explained as lines for people."""

from collections.abc import Iterator, Sequence

from taskflow.clock import rfc3339
from taskflow.explaining.prices import AS_OF, REGION, Cost
from taskflow.explaining.shown import HandlerShown, QueueShown, Shown, TopicShown
from taskflow.explaining.spans import span
from taskflow.explaining.whereabouts import Moment, Sighting

MOST_ATTEMPTS = 8
_DECLARED = {
    "both": "",
    "code": "  (NOT in the broker)",
    "broker": "  (not in the code that is loaded)",
    "unknown": "",
}


def tell(shown: Shown) -> Iterator[str]:
    """A name that was explained."""
    if isinstance(shown, TopicShown):
        yield f"topic {shown.topic}{_DECLARED[shown.declared]}"
        if not shown.routes:
            yield "  nobody subscribes: what is published there goes nowhere"
        for route in shown.routes:
            if route.filter is not None:
                yield f"  filter on {route.filter_scope}: {route.filter}"
            if route.queue is None:
                yield f"  → {route.protocol} {route.endpoint}{_DECLARED[route.declared]}"
            else:
                lost = (
                    "  (NOT subscribed)" if route.declared == "code" else _DECLARED[route.declared]
                )
                yield from _indented("  ", _queue(route.queue, f"→ queue {route.endpoint}{lost}"))
        yield f"  on AWS: {_cost(shown.cost)}"
    elif isinstance(shown, QueueShown):
        yield from _queue(shown, f"queue {shown.queue}{_DECLARED[shown.declared]}")
        if shown.topics:
            yield f"  topics: {', '.join(shown.topics)}"
        yield f"  on AWS: {_cost(shown.cost)}"
    else:
        yield f"task {shown.task}"
        for queue in shown.queues:
            head = f"→ queue {queue.queue}{_DECLARED[queue.declared]}"
            yield from _indented("  ", _queue(queue, head))
            yield f"  on AWS: {_cost(queue.cost)}"
        if shown.schedules:
            yield f"  schedules: {', '.join(shown.schedules)}"


def tell_sighting(found: Sighting) -> Iterator[str]:
    """Where something is, what happened, what comes."""
    where = "" if found.queue is None or found.kind == "finished" else f" in {found.queue}"
    yield f"{found.kind} {found.id}{where}: {found.state}"
    for one in found.happened:
        yield f"  {_moment(one)}"
    for one in found.next:
        yield f"  next: {_moment(one)}"


def _queue(queue: QueueShown, head: str) -> Iterator[str]:
    yield head
    if queue.waiting is not None:
        paused = ", PAUSED" if queue.paused else ""
        workers = "" if queue.workers is None else f", {queue.workers} workers"
        yield f"  now: {queue.waiting} wait, {queue.in_flight} in flight{workers}{paused}"
    for one in queue.handlers:
        yield from _indented("  ", _handler(one, queue.retention))
    if not queue.handlers:
        yield "  no handler that is loaded"
    yield f"  crash: {queue.crash}"
    if queue.dead_letter_queue is None:
        yield "  dead letters: there is no queue for them"
    else:
        kept = "  (NOT in the broker)"
        if queue.dead_letter_retention is not None:
            kept = f", kept for {span(queue.dead_letter_retention)} from sending"
        held = "" if queue.letters is None else f", {queue.letters} now"
        yield f"  dead letters: {queue.dead_letter_queue}{kept}{held}"
    yield f"  retention: {span(queue.retention)} from sending"


def _handler(one: HandlerShown, retention: float) -> Iterator[str]:
    limit = "no time limit" if one.timeout is None else f"{span(one.timeout)} for each run"
    known = f"known for {span(one.window)} when done" if one.window else "not idempotent"
    yield f"⇒ {one.handler} ({one.kind}): {one.retries} retries, {limit}, {known}"
    yield f"  attempts begin after {_attempts(one)}"
    if one.exceptions:
        yield f"  but: {', '.join(one.exceptions)}"
    worst = f"no end, as there is no time limit; {span(one.waits)} waiting"
    if one.worst_total is not None:
        worst = f"{span(one.worst_total)} at most, {span(one.waits)} of it waiting"
    if one.waits >= retention:
        worst += f"; the queue keeps it for {span(retention)}, so the last ones never begin"
    yield f"  until it is dead: {worst}"


def _attempts(one: HandlerShown) -> str:
    """Earliest to latest of each; of many, the first and the last."""
    told = []
    for attempt in one.attempts:
        earliest = span(attempt.earliest)
        if attempt.latest is None:
            told.append(f"{earliest} or more")
        elif attempt.latest == attempt.earliest:
            told.append(earliest)
        else:
            told.append(f"{earliest}–{span(attempt.latest)}")
    if len(told) > MOST_ATTEMPTS:
        told = [*told[: MOST_ATTEMPTS - 1], f"… {told[-1]}"]
    return ", ".join(told)


def _cost(cost: Cost) -> str:
    return (
        f"{cost.least:.2f} to {cost.most:.2f} USD per million messages (requests alone, ten or one "
        f"in each; {REGION}, {AS_OF})"
    )


def _moment(one: Moment) -> str:
    return one.what if one.at is None else f"{one.what} {rfc3339(one.at)[:19]}Z"


def _indented(indent: str, lines: Iterator[str]) -> Sequence[str]:
    return [indent + line for line in lines]
