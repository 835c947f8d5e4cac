"""Rules about what goes on: messages that wait, workers, clocks, schedules."""

from collections.abc import Iterator

from taskflow.broker.settings import WorkerReport
from taskflow.doctor.facts import Facts, QueueFacts
from taskflow.doctor.rule import Finding
from taskflow.doctor.rules import RULES
from taskflow.explaining.spans import span
from taskflow.limits import DLQ_SUFFIX, FIFO_SUFFIX, MAX_IN_FLIGHT

SILENT = 30.0
"""Seconds after which a worker that has not reported is silent."""
CLOCK_OFF = 2.0
LATE = 60.0
EXPIRES_AT = 0.8
FULL_AT = 0.9


def check_running(facts: Facts) -> Iterator[Finding]:
    """What waits, who works, whose clock is off, what is late."""
    if facts.looked:
        letters = {one.settings.dead_letter_queue for one in facts.queues.values()}
        letters |= {one.dead_letter_queue for one in facts.subscriptions}
        for queue, known in facts.queues.items():
            if queue in letters or queue.removesuffix(FIFO_SUFFIX).endswith(DLQ_SUFFIX):
                yield from _letters(facts, queue, known)
            else:
                yield from _waiting(facts, queue, known)
        yield from _workers(facts)
        yield from _due(facts)


def _waiting(facts: Facts, queue: str, known: QueueFacts) -> Iterator[Finding]:
    counts, retention = known.counts, known.settings.retention
    name = f"queue {queue}"
    if counts.paused and counts.visible:
        yield RULES["TF302"].found(
            name,
            f"{counts.visible} messages, the oldest {span(counts.oldest_age_seconds)} old, of "
            f"{span(retention)} that it keeps them",
            f"`taskflow resume {queue}`",
        )
    working = {one for report in _awake(facts) for one in report.queues}
    if counts.visible and not counts.paused and facts.hears_workers and queue not in working:
        others = f"the {len(working)} queues {', '.join(sorted(working))} have" if working else ""
        yield RULES["TF301"].found(
            name,
            f"{counts.visible} messages wait, the oldest for {span(counts.due_age_seconds)}; "
            f"{others or 'no queue has'} workers",
            f"`taskflow worker {queue}`",
        )
    if counts.oldest_age_seconds > EXPIRES_AT * retention:
        yield RULES["TF303"].found(
            name,
            f"the oldest is {span(counts.oldest_age_seconds)} old, and goes at {span(retention)}",
            "more workers, or a longer retention (`taskflow topology apply --file`)",
        )
    if counts.expired:
        yield RULES["TF304"].found(
            name,
            f"{counts.expired} messages were dropped after {span(retention)}",
            "more workers, or a longer retention",
        )
    if counts.in_flight > FULL_AT * MAX_IN_FLIGHT:
        yield RULES["TF306"].found(
            name,
            f"{counts.in_flight} in flight of {MAX_IN_FLIGHT}",
            "shorter runs, or more queues",
        )


def _letters(facts: Facts, queue: str, known: QueueFacts) -> Iterator[Finding]:
    counts, retention = known.counts, known.settings.retention
    held = counts.visible + counts.in_flight + counts.delayed
    if held:
        old, left = counts.oldest_age_seconds, ""
        if old:
            left = f"; the oldest is {span(old)} old and goes in {span(max(0.0, retention - old))}"
        yield RULES["TF305"].found(
            f"queue {queue}",
            f"{held} dead letters{left}",
            f"`taskflow dlq list {queue}`, then redrive or purge them",
        )


def _awake(facts: Facts) -> list[WorkerReport]:
    return [one for one in facts.workers if facts.now - one.seen_at <= SILENT]


def _workers(facts: Facts) -> Iterator[Finding]:
    for one in facts.workers:
        name = f"worker {one.pid} on {one.host}"
        if (silent := facts.now - one.seen_at) > SILENT:
            yield RULES["TF311"].found(
                name,
                f"last heard of {span(silent)} ago, with {one.busy} runs",
                "look whether it lives; what it held comes back when the leases end",
            )
        elif one.said_at and abs(off := one.said_at - one.seen_at) > CLOCK_OFF:
            yield RULES["TF313"].found(
                name,
                f"its clock is {span(abs(off))} {'ahead of' if off > 0 else 'behind'} the broker's",
                "let its host keep the time (NTP)",
            )
    if abs(off := facts.own_now - facts.now) > CLOCK_OFF:
        yield RULES["TF314"].found(
            "this machine",
            f"its clock is {span(abs(off))} {'ahead of' if off > 0 else 'behind'} the broker's",
            "let it keep the time (NTP)",
        )
    versions = sorted({one.version or "older" for one in _awake(facts)})
    if len(versions) > 1:
        counted = [
            f"{sum((one.version or 'older') == version for one in _awake(facts))} of {version}"
            for version in versions
        ]
        yield RULES["TF312"].found(
            "workers", ", ".join(counted), "restart those that were left behind"
        )
    for move in facts.moves:
        if move.status == "FAILED":
            yield RULES["TF307"].found(
                f"queue {move.source}",
                f"{move.moved} of {move.total} were moved: {move.failure}",
                f"mend that, then `taskflow dlq redrive {move.source}`",
            )


def _due(facts: Facts) -> Iterator[Finding]:
    for one in facts.schedules:
        name = f"schedule {one.name}"
        late = 0.0 if one.due_at is None else facts.now - one.due_at
        if one.failed or one.state == "unreadable":
            what = f"it failed {one.failed} times" if one.failed else "its record is unreadable"
            yield RULES["TF322"].found(
                name, what, "the log of the worker that fires schedules says why"
            )
        elif one.state == "active" and late > LATE:
            yield RULES["TF321"].found(
                name,
                f"its tick was due {span(late)} ago; {len(_awake(facts))} workers have reported",
                "run a worker; any one fires all schedules",
            )
        if one.missing_since is not None:
            yield RULES["TF323"].found(
                name,
                f"code {one.app or 'without a name'} has it no more for "
                f"{span(max(0.0, facts.now - one.missing_since))}",
                "remove it (`schedules.remove`), or bring the code back",
            )
    if facts.late_call is not None and facts.now - facts.late_call > LATE:
        yield RULES["TF324"].found(
            "calls",
            f"the first was due {span(facts.now - facts.late_call)} ago",
            "run a worker of a queue that has tasks",
        )
