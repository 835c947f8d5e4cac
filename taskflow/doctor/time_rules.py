"""Rules about times that code says: limits, leases, retries, retention, FIFO, delays."""

from collections.abc import Iterator, Sequence

from taskflow.doctor.facts import Facts
from taskflow.doctor.rule import Finding
from taskflow.doctor.rules import RULES
from taskflow.entry import Entry
from taskflow.explaining.attempts import Attempts, attempts_of
from taskflow.explaining.spans import span
from taskflow.limits import DEDUPLICATION_WINDOW, MAX_RETENTION, MAX_VISIBILITY, is_fifo
from taskflow.registry import Registry
from taskflow.tasks.task_entry import TaskEntry
from taskflow.topology import settings_for

SHORT_LEASE = 10.0
LONG_HIDDEN = 300.0
TIMES_THE_LIMIT = 10
LONG_HELD_UP = 900.0
LONGEST_QUEUE_DELAY = 900.0


def check_times(facts: Facts) -> Iterator[Finding]:
    """What the times of handlers and queues lead to."""
    for queue in facts.registry.queues():
        for entry in entries_of(facts.registry, queue):
            found = attempts_of(entry)
            yield from _limits(facts, entry)
            yield from _retention(facts, entry, found)
            if is_fifo(queue):
                yield from _fifo(facts, entry, found)
    for queue, known in facts.queues.items():
        settings = known.settings
        letters = facts.queues.get(settings.dead_letter_queue or "")
        if letters is not None and letters.settings.retention < MAX_RETENTION:
            kept = letters.settings.retention
            if kept <= settings.retention:
                yield RULES["TF113"].found(
                    f"queue {settings.dead_letter_queue}",
                    f"it keeps messages for {span(kept)}, and {queue}, whose dead letters it has, "
                    f"for {span(settings.retention)}",
                    f"give it a retention of {span(MAX_RETENTION)} (`taskflow topology apply`)",
                )
        if settings.delay > LONGEST_QUEUE_DELAY:
            yield RULES["TF133"].found(
                f"queue {queue}",
                f"its delay is {span(settings.delay)}; SQS allows {span(LONGEST_QUEUE_DELAY)}",
                "delay single messages where you send them, or do without before it moves to AWS",
            )


def entries_of(registry: Registry, queue: str) -> Sequence[Entry]:
    """The functions of a queue, each once, whatever number of topics it has."""
    return list({one.name: one for one in registry.on(queue)}.values())


def about(entry: Entry) -> str:
    """An entry in the words of a finding."""
    return f"{entry.name} on {entry.queue}"


def _limits(facts: Facts, entry: Entry) -> Iterator[Finding]:
    lease, limit = entry.visibility_timeout, entry.timeout
    said = "no time limit" if limit is None else f"a time limit of {span(limit)}"
    if lease < SHORT_LEASE and (limit is None or limit > lease):
        yield RULES["TF101"].found(
            about(entry),
            f"visibility_timeout is {span(lease)}, with {said}: a stall of {span(lease / 2)} "
            "between two extensions is enough",
            f"visibility_timeout={SHORT_LEASE:g} or more, or a timeout= below {lease:g}",
        )
    if limit is None:
        yield RULES["TF104"].found(
            about(entry),
            "timeout=None: a run that hangs ends with its process",
            "timeout= somewhat above the longest run that is right",
        )
    elif lease > LONG_HIDDEN and lease > TIMES_THE_LIMIT * limit:
        yield RULES["TF102"].found(
            about(entry),
            f"visibility_timeout is {span(lease)}, and no run takes longer than {span(limit)}: "
            f"after a crash the message is hidden for up to {span(lease)}",
            "leases are extended while a run goes on: visibility_timeout=30 is enough",
        )
    if facts.aws and limit is not None and limit > MAX_VISIBILITY:
        yield RULES["TF103"].found(
            about(entry),
            f"timeout is {span(limit)}; SQS lends a message for {span(MAX_VISIBILITY)} at most",
            "cut it into steps (`@workflow`), or a timeout= below 43200",
        )


def _retention(facts: Facts, entry: Entry, found: Attempts) -> Iterator[Finding]:
    queue = entry.queue
    known = facts.queues.get(queue)
    settings = settings_for(facts.registry, queue) if known is None else known.settings
    retention, count = settings.retention, len(found.attempts)
    advice = "fewer retries, a smaller maximum= of its RetryPolicy, or a longer retention"
    if found.waits >= retention:
        yield RULES["TF111"].found(
            about(entry),
            f"its {count - 1} retries wait {span(found.waits)} in all, and the queue keeps a "
            f"message for {span(retention)}",
            advice,
        )
    elif found.total is not None and found.total >= retention:
        assert found.runs is not None
        yield RULES["TF112"].found(
            about(entry),
            f"{count} attempts of {span(entry.timeout or 0.0)} and {span(found.waits)} of waits: "
            f"{span(found.total)}; the queue keeps a message for {span(retention)}",
            f"{advice}, or a shorter timeout=",
        )
    allowed = settings.max_receives
    if known is not None and allowed is not None and allowed < entry.policy.max_attempts:
        yield RULES["TF114"].found(
            about(entry),
            f"it has {entry.policy.max_attempts} attempts, and the queue allows {allowed} receives",
            "`taskflow topology apply` sets max_receives as the handlers need it",
        )


def _fifo(facts: Facts, entry: Entry, found: Attempts) -> Iterator[Finding]:
    if found.waits > DEDUPLICATION_WINDOW and entry.window < found.waits:
        remembered = f"window={entry.window:g}" if entry.window else "idempotent=False"
        yield RULES["TF121"].found(
            about(entry),
            f"its retries wait up to {span(found.waits)}, a repeated send is known for "
            f"{span(DEDUPLICATION_WINDOW)}, and a finished one for {span(entry.window)} "
            f"({remembered})",
            f"window={found.waits:.0f} or more, or fewer retries",
        )
    if found.waits > LONG_HELD_UP:
        yield RULES["TF122"].found(
            about(entry),
            f"its {len(found.attempts) - 1} retries hold up a group for {span(found.waits)} and "
            "the time of its runs",
            "fewer retries; a failure that retrying cannot mend raises Reject",
        )
    longest = max(entry.policy.ceiling(len(found.attempts) - 1), 0.0)
    if facts.aws and len(found.attempts) > 1 and longest > MAX_VISIBILITY:
        yield RULES["TF132"].found(
            about(entry),
            f"its longest wait is {span(longest)}; SQS hides for {span(MAX_VISIBILITY)}",
            f"maximum={MAX_VISIBILITY:g} in its RetryPolicy",
        )
    if isinstance(entry, TaskEntry) and entry.defaults.debounce:
        yield RULES["TF131"].found(
            about(entry),
            f"debounce is {span(entry.defaults.debounce)}, which is a delay of its call",
            "a standard queue for it, or throttle= instead of debounce=",
        )
